"""Name every limit on input from outside: sizes in bytes, times in seconds.

docs/guide/border.md explains them.
"""

#: An index of models: one with 60 labels takes 4 kB.
INDEX_BYTES = 4 * 2**20
#: Models of an index, with 40 keys each.
MOST_MODELS = 1_000
#: The manifest of a bundle: 60,000 genes and 1,000 labels make 3 MB.
MANIFEST_BYTES = 16 * 2**20
#: An answer of a registry: a list of 100 records takes 1 MB, with 300 keys each.
ANSWER_BYTES = 16 * 2**20
#: Files of a record or repository: Zenodo takes 100, and repositories of models have some dozens.
RECORD_FILES = 10_000
#: The name of a file that is fetched from there; with the name of its folder it makes that of a lock, of 255 bytes at
#: most.
FILE_NAME_BYTES = 120
#: A saved model, which is read whole; those of large atlases have some hundred MB.
MODEL_BYTES = 2**33
#: How many times as much as its bytes a pickle may describe: tensors may share their storage.
PICKLE_EXPANSION = 4
#: Opcodes of a pickle, apart from runs of numbers: 60,000 names of genes make 120,000.
PICKLE_STEPS = 2**19
#: Numbers in runs, of which references to what was there before count half: labels of four million cells.
PICKLE_VALUES = 2**21
#: Lists, tuples, dictionaries and objects of a pickle: a model has some thousands.
PICKLE_CONTAINERS = 2**15
#: Values within values of a pickle: a registry of scvi-tools has eight.
PICKLE_DEPTH = 64
#: A whole number of a pickle: a random state has 16 bytes.
PICKLE_INTEGER_BYTES = 32
#: A name in a saved model: of a class, or of a member of its archive.
PICKLE_NAME_BYTES = 512
#: A table of a pickle: the history of a training has one column, and a row for each epoch.
PICKLE_TABLE_COLUMNS = 1_000
PICKLE_TABLE_ROWS = 2**20
#: Dimensions of an array or tensor.
ARRAY_DIMENSIONS = 8
#: Attributes of a saved model, which has some ten.
MODEL_ATTRIBUTES = 1_000
#: Members of an archive, one for each tensor: a model has some hundred.
ARCHIVE_MEMBERS = 2**14
#: Files and folders that are looked at for a model that lies further down, and how far down.
FOLDER_FILES = 10_000
FOLDER_DEPTH = 4
#: Files of a ``.zip`` or ``.tar.gz`` with a model in it.
ARCHIVE_FILES = 10_000
#: It may unpack to so many times its bytes: weights hardly pack ...
ARCHIVE_EXPANSION = 20
#: ... and to so many bytes beside.
ARCHIVE_FREE_BYTES = 16 * 2**20
#: An HDF5 file may declare so many times the bytes that a data set has in it: dense counts of few genes pack 100:1 ...
HDF5_EXPANSION = 200
#: ... and so many bytes beside, for columns of one value.
HDF5_FREE_BYTES = 64 * 2**20
#: A chunk of an HDF5 data set; libraries write 1 MB at most.
HDF5_CHUNK_BYTES = 64 * 2**20
#: Groups and data sets of an HDF5 file: a column of categories makes three.
HDF5_OBJECTS = 10_000
#: Attributes of an HDF5 file: anndata writes two to four for each object.
HDF5_ATTRIBUTES = 50_000
#: Groups within groups of an HDF5 file.
HDF5_DEPTH = 32
#: Bytes that are searched at most for references to long texts.
HDF5_SEARCHED_BYTES = 2 * 2**30
#: Tables and lists of a JSON file, and keys of all its tables: each may be a mistake that is told, of 1 kB.
JSON_TABLES = JSON_KEYS = 60_000
#: Values of a JSON file: 60,000 genes twice, and 5,000 genes that each of 300 batches lacks, make 1,620,000.
JSON_VALUES = 2_000_000
#: Digits of a whole number of a JSON file.
JSON_DIGITS = 100
#: The header of a file of tensors: 1,000 tensors make 0.1 MB.
TENSOR_HEADER_BYTES = 2**20
#: SHA256SUMS of a bundle, which has nine lines at most.
CHECKSUM_BYTES = 2**16
#: README.md of a bundle: 1,000 labels make 0.1 MB.
README_BYTES = 2**20
#: Series that a training logs, and epochs that a bundle keeps of each: the package keeps 100.
HISTORY_SERIES = HISTORY_EPOCHS = 1000
#: Records of queries that were mapped, and of penalties.
STATE_RECORDS = 10_000
#: The text of a hierarchy of labels: the Cell Ontology has 10 MB.
HIERARCHY_BYTES = 32 * 2**20
#: Text that is packed may unpack to so many times its bytes: counts of 60,000 genes of which 600 are not zero pack 80:1
#: to 130:1 ...
TEXT_EXPANSION = 140
#: ... and to so many bytes beside.
TEXT_FREE_BYTES = 4 * 2**20
#: Entries of a matrix in text that a packed byte may hold; real ones take two bytes or more.
ENTRIES_PER_PACKED_BYTE = 4
#: Columns of a list of names beside a matrix in text: Cell Ranger ARC writes six.
NAME_COLUMNS = 50
#: Lines that are looked at before the first row of a table or matrix, comments and blank ones included.
HEAD_LINES = 10_000
#: A table of gene names, unpacked: all genes of human and mouse with every old name make 10 MB.
GENE_TABLE_BYTES = 64 * 2**20
#: A line of text with a label and its parent.
HIERARCHY_LINE_CHARACTERS = 10_000
#: Labels of a hierarchy: the Cell Ontology has 17,000 with all that it takes from others.
HIERARCHY_LABELS = 50_000
#: Steps from all labels to the top: those of 17,000 terms take 1,500,000.
HIERARCHY_STEPS = 3_000_000
#: Labels that contain one another: ontologies have 30.
HIERARCHY_DEPTH = 1000
#: An address: links that are signed have 3,000 characters.
ADDRESS_CHARACTERS = 8_192
#: Redirects of one request.
MOST_REDIRECTS = 10
#: Places at which the files of a model lie.
MOST_MIRRORS = 8
#: Bytes a second that a transfer has to bring, seen over a window of so many seconds; an answer has to begin within
#: one.
SLOWEST = 4 * 2**10
WINDOW_SECONDS = 60.0
#: All of an index.
INDEX_SECONDS = 30.0
#: The window of a registry, which puts files together before it answers.
REGISTRY_SECONDS = 300.0
#: How long a server may ask to be left alone; one with an index is left alone for good after less.
LONGEST_WAIT = 120.0
LONGEST_INDEX_WAIT = 10.0
#: How long a server may take to pick up.
CONNECT_SECONDS = 10.0
#: Records of an account at a registry; InvenioRDM shows no more.
MOST_RECORDS = 10_000
#: Lines of an answer that are none of its contents: headers, and one for each chunk of so many bytes.
MOST_LINES = 1_000
LINE_BYTES = 64
#: The message of an error about a foreign file.
MESSAGE_CHARACTERS = 4_000
#: Epochs of a training, layers of a network and units of a layer: more is a slip of the finger, and would end in
#: memory.
EPOCHS = 1_000_000
LAYERS = 100
UNITS = 100_000
#: Random draws for an interval or an expectation, bins of a curve, and genes and entries of simulated counts.
DRAWS = 1_000_000
BINS = 10_000
GENES = 1_000_000
ENTRIES = 2**31
#: A JSON file of names or markers that a command reads: a thousand labels with a hundred genes take 1 MB.
NAMES_BYTES = 16 * 2**20
#: A table of columns of cells, unpacked: a million cells with ten columns take 200 MB.
COLUMNS_BYTES = 2**31
#: What is looked at of a table of counts before it is read; a header of 60,000 genes takes 1 MB.
TABLE_SAMPLE_BYTES = 16 * 2**20
#: Columns of a table of counts, unless it has as many lines as the next limit says.
TABLE_COLUMNS = 2**16
#: Lines of a table with more columns than that: its columns are cells, and its lines genes.
ROWS_OF_A_WIDE_TABLE = 100
#: A description in a .zarr folder: that of all 1,000 arrays has 1 MB.
ZARR_JSON_BYTES = 4 * 2**20
#: A file of cells that a visitor sends to the page, unless the option of the command says otherwise.
UPLOAD_BYTES = 20 * 2**30
#: The other fields of such a form, a question to the API, and the reading of one column or table by the page.
FORM_BYTES = 2**20
#: Jobs of the page that wait or run.
WAITING_JOBS = 1_000
#: Questions of the page that wait, and seconds that one may take; the map of a large reference is drawn once.
WAITING_QUESTIONS = 200
QUESTION_SECONDS = 600.0
MAP_SECONDS = 1_800.0
#: Cells of a selection whose table or whose reasons the page asks for at once.
ASKED_CELLS = 5_000
#: Categories of a column that the page can colour by, and columns that it is given.
SHOWN_CATEGORIES = 2_000
SHOWN_COLUMNS = 300
