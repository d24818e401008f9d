"""Take the guide's pictures of the page: docs/_static/app_desktop.png, app_report.png and app_phone.png.

    python benchmarks/app/pictures.py kang_ctrl_8donors.h5ad

Kang et al. 2018, control cells of eight donors (GSE96583; benchmarks/surgery/ says how such files are made): six donors
without B cells are the reference, two the query. Needs playwright and chromium (``make test-app`` installs the first).
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import anndata
import scanpy as sc
import scvi
from playwright.sync_api import sync_playwright

import scarches_plus as sp

OUT = Path(__file__).parents[2] / "docs" / "_static"
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def reference_and_query(file, folder):
    adata = anndata.read_h5ad(file)
    donors = sorted(adata.obs["batch"].unique())
    inside = adata.obs["batch"].isin(donors[:6]).to_numpy()
    withheld = adata.obs["cell_type"].astype(str).str.startswith("B").to_numpy()
    cells, query = adata[inside & ~withheld].copy(), adata[~inside].copy()
    scvi.settings.seed = 0
    model = sp.tl.build_reference(cells, "batch", "cell_type", recipe="scvi", max_epochs=60)
    sc.pp.neighbors(cells, use_rep="X_scarches")
    sc.tl.umap(cells)
    sp.hub.save_bundle(
        model, folder / "pbmc_six_donors", reference=cells, include=["latent", "labels", "umap"],
        labels_key="cell_type", summary=sp.tl.reference_summary(cells, "cell_type", "batch", basis=None),
        card={"title": "PBMC, six donors", "species": "human", "tissue": "blood", "license": "CC-BY-4.0",
              "citation": "Kang et al. 2018, Nature Biotechnology 36:89"},
    )  # fmt: skip
    query.write_h5ad(folder / "two_donors.h5ad")


def take(address, query, out):
    with sync_playwright() as playwright:
        path = next(found for name in ("chromium", "google-chrome") if (found := shutil.which(name)))
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address)
        page.wait_for_selector("body[data-ready]", state="attached")
        page.wait_for_timeout(1000)
        page.screenshot(path=out / "reference.png")
        page.set_input_files("#file", query)
        page.wait_for_selector("#run:enabled", timeout=120_000)
        page.screenshot(path=out / "check.png")
        page.click("#run")
        page.wait_for_selector("#results h2", timeout=300_000)
        page.wait_for_timeout(1500)
        page.screenshot(path=out / "app_desktop.png")
        with page.context.expect_page() as waiting:
            page.click("text=Report")
        waiting.value.set_viewport_size({"width": 1100, "height": 620})
        waiting.value.wait_for_load_state()
        waiting.value.screenshot(path=out / "app_report.png")
        page.click("role=tab[name='Novel']")
        page.select_option("#color", "novel_score")
        page.wait_for_timeout(700)
        page.screenshot(path=out / "novel.png")
        for scheme in ("light", "dark"):
            phone = browser.new_context(
                viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True, has_touch=True,
                color_scheme=scheme,
            ).new_page()  # fmt: skip
            phone.goto(address)
            phone.wait_for_selector("body[data-ready]", state="attached")
            phone.wait_for_selector("#results h2", state="attached")
            phone.evaluate("document.getElementById('map').scrollIntoView()")
            phone.wait_for_timeout(1500)
            phone.screenshot(path=out / f"app_phone_{scheme}.png")
            phone.screenshot(path=out / f"whole_{scheme}.png", full_page=True)
        dark = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark").new_page()
        dark.goto(address)
        dark.wait_for_selector("#results h2", state="attached")
        dark.wait_for_timeout(1500)
        dark.screenshot(path=out / "dark.png")
        browser.close()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference_and_query(sys.argv[1], folder)
        command = [sys.executable, "-W", "ignore", "-c", "from scarches_plus.cli import main; main()"]
        server = subprocess.Popen(
            [*command, "app", "pbmc_six_donors", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
        )
        try:
            address = next(found[0] for line in server.stdout if (found := re.search(r"http://\S+", line)))
            out = Path(sys.argv[2]) if len(sys.argv) > 2 else folder
            take(address, folder / "two_donors.h5ad", out)
            for name in ("app_desktop.png", "app_report.png"):
                shutil.copy(out / name, OUT)
            shutil.copy(out / "app_phone_dark.png", OUT / "app_phone.png")
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
