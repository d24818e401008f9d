# Map a count matrix onto a reference by a server that scarches-plus app runs, and read the labels back.
# Needs the packages httr2 and Matrix (Debian and Ubuntu: apt-get install r-cran-httr2 r-cran-matrix).

library(httr2)
library(Matrix)

#' counts: raw counts, genes in rows and cells in columns, with names of both (a matrix of Matrix, such as
#'         GetAssayData(object, layer = "counts") of Seurat or counts(object) of SingleCellExperiment)
#' address: what scarches-plus app printed, http://127.0.0.1:8765/?token=...
#' reference: a name or path that the server knows
#' ...: further options of a job, such as method = "zero-shot" or max_epochs = 100
#' Returns a data.frame with a row for each cell: label, uncertainty, novelty, position on the map.
#' The cells are one batch: call it once for each batch.
map_cells <- function(counts, address, reference, ...) {
  base <- sub("/?\\?.*$", "", address)
  token <- sub("^.*token=", "", address)
  ask <- function(path) {
    request(paste0(base, "/api/", path)) |>
      req_auth_bearer_token(token) |>
      req_error(body = function(answer) resp_body_json(answer)$error)
  }

  archive <- write_10x(counts)
  on.exit(unlink(archive))
  options <- jsonlite::toJSON(list(reference = reference, ...), auto_unbox = TRUE)
  job <- ask("jobs") |>
    req_body_multipart(file = curl::form_file(archive), options = as.character(options)) |>
    req_perform() |>
    resp_body_json()

  repeat {
    state <- ask(paste0("jobs/", job$id)) |> req_perform() |> resp_body_json()
    if (state$status == "done") break
    if (state$status %in% c("failed", "cancelled")) stop("the job ", state$status, ": ", state$message)
    Sys.sleep(0.5)
  }
  answer <- ask(paste0("jobs/", job$id, "/files/cells.csv")) |> req_perform()
  labels <- read.csv(text = resp_body_string(answer), row.names = 1, check.names = FALSE)
  labels[colnames(counts), ]
}

# Write counts as 10x does, in one archive.
write_10x <- function(counts) {
  folder <- tempfile()
  dir.create(folder)
  writeMM(as(counts, "CsparseMatrix"), file.path(folder, "matrix.mtx"))
  writeLines(colnames(counts), file.path(folder, "barcodes.tsv"))
  features <- data.frame(rownames(counts), rownames(counts), "Gene Expression")
  write.table(features, file.path(folder, "features.tsv"), sep = "\t", quote = FALSE, row.names = FALSE, col.names = FALSE)
  archive <- tempfile(fileext = ".tar.gz")
  here <- setwd(folder)
  on.exit({
    setwd(here)
    unlink(folder, recursive = TRUE)
  })
  tar(archive, list.files(), compression = "gzip", tar = "internal")
  archive
}
