"""The page in a browser: Debian's chromium, drawing in software. Run with ``make test-app``."""

import json
import re
import shutil
import time
from pathlib import Path

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
from app_jobs import Running
from matplotlib.colors import to_hex

import scarches_plus as sp

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.app,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium"),
    # greenlets of playwright leave their event loop open when the process ends
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
PAGE = Path(sp.app.__file__).parent / "_page"


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def big_atlas(tmp_path_factory):
    """A reference of 100,000 simulated cells with a picture, and a query of which it lacks one type."""
    folder = tmp_path_factory.mktemp("big")
    model = sp.load("simulated-scanvi")
    adata = sp.datasets.simulate(212_000, 150, 6, n_batches=4, mean_depth=2000.0, rng=0)
    inside = adata.obs["batch"].isin(model.spec.batches).to_numpy()
    cells, query = adata[inside][:100_000].copy(), adata[~inside][:5_000].copy()
    sp.tl.embed(cells, model)
    cells.obsm["X_umap"] = cells.obsm["X_scarches"][:, :2].astype(np.float32)
    bundle = sp.hub.save_bundle(
        model, folder / "atlas", reference=cells, include=["latent", "labels", "umap"], labels_key="cell_type",
        summary=sp.tl.reference_summary(cells[:10_000].copy(), "cell_type", "batch", basis=None), card={"title": "Simulated atlas"},
    )  # fmt: skip
    query.obs["cell_type"] = query.obs["cell_type"].astype(str)
    query.write_h5ad(folder / "query.h5ad")
    return bundle, folder / "query.h5ad"


@pytest.fixture(scope="module")
def served(tmp_path_factory, big_atlas):
    with Running(tmp_path_factory.mktemp("served"), str(big_atlas[0])) as address:
        yield address


@pytest.fixture
def visit(chromium, served):
    """Open the page: ``visit(width=390)``. Errors and requests to elsewhere fail the test."""
    contexts, wrong = [], []

    def go(address=served, **options):
        context = chromium.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(90_000)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("console", lambda one: wrong.append(one.text) if "Content Security Policy" in one.text else None)
        page.on(
            "request",
            lambda one: (
                None
                if one.url.startswith(origin(address)) or one.url.startswith(("blob:", "data:"))
                else wrong.append(one.url)
            ),
        )
        page.goto(address)
        page.wait_for_selector("body[data-ready]", state="attached")
        return page

    yield go
    for context in contexts:
        context.close()
    assert wrong == []


def origin(address):
    return re.match(r"http://[^/]+", address)[0]


def choose(page, reference):
    with page.expect_response(
        lambda answer: answer.url.endswith("/api/references") and answer.request.method == "POST"
    ):
        page.select_option("#reference", reference)
    page.wait_for_selector("#card .card")


def drop(page, file):
    page.set_input_files("#file", str(file))


def run(page, **more):
    """Map what was checked, and wait for the result."""
    before = page.locator("#jobs li").count()
    page.wait_for_selector("#run:enabled")
    if more:
        page.evaluate("document.querySelector('#run-form details').open = true")
        for field, value in more.items():
            page.fill(f"#{field}", str(value))
    page.click("#run")
    page.wait_for_selector(f"#jobs li:nth-child({before + 1})")


def wait_shown(page, name):
    page.wait_for_selector(f"#jobs li.shown:has-text({json.dumps(name)}) button[aria-pressed=true]")
    page.wait_for_selector("#results h2")


def drawn(page):
    """How many pixels of the map are not empty."""
    page.wait_for_timeout(400)
    return page.evaluate("""() => { const { plot } = window.page; plot.draw(); const pixels = plot.painter.read();
        let n = 0; for (let i = 3; i < pixels.length; i += 4) n += pixels[i] > 0; return n; }""")


def lasso(page, share=0.9):
    """Draw around the middle of the map."""
    box = page.locator("#points").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.click("#tool-lasso")
    for step, angle in enumerate(np.linspace(0, 2 * np.pi, 40)):
        at = x + np.cos(angle) * share * box["width"] / 2, y + np.sin(angle) * share * box["height"] / 2
        page.mouse.move(*at)
        if step == 0:
            page.mouse.down()
    page.mouse.up()
    page.click("#tool-pan")


def download(page, text):
    with page.expect_download() as waiting:
        page.click(f".downloads >> text={text}")
    return waiting.value


def test_the_whole_visit_on_real_cells(visit, query_file, tmp_path):
    """From a file to labels in under 60 s, then everything that can be done with them."""
    start = time.monotonic()
    page = visit()
    choose(page, "pbmc68k-scanvi@1")
    assert "436" in page.inner_text("#card")
    page.wait_for_selector("#map-note:has-text('436 cells of the reference')")
    drop(page, query_file)
    page.wait_for_selector("text=No problems found")
    assert page.input_value("#batch") == "batch"
    assert page.is_checked("input[value=surgery]")
    run(page)
    wait_shown(page, "query.h5ad")
    assert time.monotonic() - start < 60
    assert drawn(page) > 500
    assert "264 cells" in page.inner_text("#map-note")
    rows = page.locator("#panel tbody tr").all_inner_texts()
    found = {row.split("\t")[0]: int(row.split("\t")[1]) for row in rows}
    assert sum(found.values()) == 264
    known = sp.hub.load_reference("pbmc68k-scanvi").obs["cell_type"].value_counts(normalize=True)
    shares = [one.get_attribute("title") for one in page.locator("#panel tbody td.bars").all()]
    said = {label: float(share.split()[1]) for label, share in zip(found, shares, strict=True)}
    assert said == pytest.approx({label: 100 * known.get(label, 0) for label in found}, abs=0.51)
    table = pd.read_csv(download(page, "CSV").path(), index_col=0)
    assert table["cell_type_pred"].value_counts().to_dict() == {label: n for label, n in found.items() if n}
    # colours, a gene, a filter
    for color in ("probability", "novel_score", "novel_state", "batch", "phase"):
        page.select_option("#color", color)
        assert drawn(page) > 500
    page.fill("#gene", "cd3d")
    page.press("#gene", "Enter")
    page.wait_for_selector("#legend .scale")
    all_drawn = drawn(page)
    page.fill("#legend input >> nth=0", "1")
    page.press("#legend input >> nth=0", "Enter")
    assert drawn(page) < all_drawn
    page.select_option("#color", "cell_type_pred")
    everything = drawn(page)
    page.click("#legend button:has-text('Dendritic')")
    assert drawn(page) < everything
    assert page.get_attribute("#legend button:has-text('Dendritic')", "aria-pressed") == "false"
    page.click("text=Show all")
    assert drawn(page) == everything
    # what is selected, and why
    lasso(page, 0.7)
    page.wait_for_selector("#selected")
    selected = int(re.match(r"\d+", page.inner_text("#selected"))[0])
    assert 20 < selected < 264
    rows = page.locator("#panel table").first.locator("tr").all_inner_texts()
    saved = pd.read_csv(download(page, "Save the selection").path(), index_col=0)
    assert len(saved) == selected
    assert list(saved["cell_type_pred"]) == list(table.loc[saved.index, "cell_type_pred"])
    parts = {row.split("\t")[0]: int(row.split("\t")[1]) for row in rows}
    assert parts == saved["cell_type_pred"].value_counts().to_dict()
    page.click("text=Why? >> nth=1")
    page.wait_for_selector(f"#why:has-text({json.dumps(saved.index[1])})")
    assert saved["cell_type_pred"].iloc[1] in page.inner_text("#why strong")
    assert "%" in page.inner_text("#why")
    page.click("role=tab[name='Novel']")
    assert "diamonds" in page.inner_text("#panel")
    # which states of the reference are covered
    page.click("role=tab[name='Presence']")
    page.wait_for_selector("#panel tbody tr")
    covered = [row.split("\t") for row in page.locator("#panel tbody tr").all_inner_texts()]
    assert {label for label, *_ in covered} == set(found) - {"Unknown"}
    assert all(0 <= float(score) <= 1 for _, score, *_ in covered)
    with_query = drawn(page)
    page.click("text=Show on the map")
    page.wait_for_selector("#map-note:has-text('Presence of query.h5ad')")
    assert page.input_value("#legend input >> nth=0") == ""
    assert 0 < drawn(page) < with_query
    whole = drawn(page)
    page.fill("#legend input >> nth=0", "0.9")
    page.press("#legend input >> nth=0", "Enter")
    assert 0 < drawn(page) < whole
    page.select_option("#color", "cell_type_pred")
    assert drawn(page) == everything
    # what is taken home
    cells = anndata.read_h5ad(download(page, "h5ad").path())
    assert list(cells.obs_names) == list(table.index)
    assert download(page, "PNG").path().read_bytes().startswith(b"\x89PNG")
    picture = download(page, "SVG").path().read_text()
    assert picture.count("<circle") > 200
    assert "Dendritic" in picture
    assert "sp.tl.map_query" in download(page, "Python script").path().read_text()
    with page.context.expect_page() as waiting:
        page.click("text=Report")
    report = waiting.value
    report.wait_for_load_state()
    assert "Composition" in report.inner_text("body")


def test_the_whole_visit_on_100000_cells(visit, big_atlas):
    page = visit()
    choose(page, str(big_atlas[0]))
    page.wait_for_selector("text=100,000 cells of the reference")
    names = page.locator("#over text").all_text_contents()
    assert sorted(names) == [f"type{i}" for i in range(6)]
    before = page.evaluate("Array.from(window.page.map.xy)")
    page.fill("#path", str(big_atlas[1]))
    page.press("#path", "Enter")
    page.wait_for_selector("text=5,000 cells, 150 genes")
    run(page)
    wait_shown(page, "query.h5ad")
    assert "5,000 cells, on 100,000 cells of the reference, which stay where they are" in page.inner_text("#map-note")
    assert page.evaluate("Array.from(window.page.map.xy)") == before
    lasso(page)
    page.click("text=Why? >> nth=0")
    page.wait_for_selector("#why")
    assert "neighbours" in page.inner_text("#why")
    grey = drawn(page)
    page.click("#show-reference")
    assert drawn(page) < grey
    # a second query beside the first
    page.fill("#path", str(big_atlas[1]))
    page.press("#path", "Enter")
    run(page, epochs=2)
    page.wait_for_selector("#jobs li.shown >> nth=0")
    page.wait_for_selector("#jobs li:nth-child(1).shown")
    page.click("#jobs li:nth-child(2) label:has-text('side by side')")
    page.wait_for_selector("#jobs li:nth-child(2).shown")
    page.click("role=tab[name='Composition']")
    page.select_option("#color", label="query")
    page.wait_for_selector("#legend li:nth-child(1) button")
    assert page.inner_text("#map-note").count("5,000 cells") == 2
    assert page.locator("#panel thead th").count() == 5


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("page.h5ad", b"<!doctype html>", "web page"),
        ("cut.h5ad", b"\x89HDF\r\n\x1a\n", "damaged"),
        ("empty.csv", b"", "empty"),
        ("cells.rds", b"RDX3\nX\n", "R's data"),
    ],
)
def test_bad_files_are_told_and_the_page_goes_on(visit, query_file, tmp_path, name, contents, words):
    page = visit()
    choose(page, "pbmc68k-scanvi@1")
    (tmp_path / name).write_bytes(contents)
    drop(page, tmp_path / name)
    page.wait_for_selector(f"#check .bad >> text={words}")
    assert not page.is_visible("#run-form")
    drop(page, query_file)
    page.wait_for_selector("text=No problems found")
    assert page.is_enabled("#run")


def test_errors_hold_back_the_run_unless_forced(visit, pbmc_query, tmp_path):
    adata = pbmc_query.copy()
    adata.X = np.log1p(np.asarray(adata.X.todense() if hasattr(adata.X, "todense") else adata.X))
    adata.write_h5ad(tmp_path / "log.h5ad")
    page = visit()
    choose(page, "pbmc68k-scanvi@1")
    drop(page, tmp_path / "log.h5ad")
    page.wait_for_selector(".problem.error, .problem.fatal")
    assert "Fix:" in page.inner_text("#check")
    assert page.is_disabled("#run")


def test_cancel_and_reload_in_mid_job(visit, query_file, served):
    page = visit()
    choose(page, "pbmc68k-scanvi@1")
    drop(page, query_file)
    page.wait_for_selector("text=No problems found")
    run(page, epochs=100_000)
    page.wait_for_selector("#jobs li:first-child >> text=mapping")
    drop(page, query_file)
    page.wait_for_selector("text=No problems found")
    run(page, epochs=1)
    page.wait_for_selector("#jobs li:first-child >> text=waits for 1 other job")
    page.reload()  # the cookie lets in without the token
    page.wait_for_selector("#jobs li:nth-child(2) >> text=mapping")
    page.wait_for_selector("#jobs li:nth-child(2) progress")
    page.wait_for_selector("#jobs li:nth-child(2) >> text=left")
    assert served.partition("token=")[2] not in page.url
    page.click("#jobs li:nth-child(2) >> text=Cancel")
    page.wait_for_selector("#jobs li:nth-child(2) >> text=cancelled")
    page.wait_for_selector("#jobs li:first-child >> text=Show")
    page.click("#jobs li:nth-child(2) >> text=Remove")
    page.wait_for_selector("#jobs li:nth-child(2) >> text=cancelled", state="detached")


def test_seven_jobs_wait_in_order(visit, query_file, served):
    """A browser keeps six connections to a server: a page that followed each job would be stuck."""
    page = visit()
    choose(page, "pbmc68k-scanvi@1")
    before = page.locator("#jobs li").count()
    drop(page, query_file)
    page.wait_for_selector("text=No problems found")
    run(page, epochs=100_000)
    for _ in range(6):
        run(page, epochs=1)
    for place, others in enumerate((6, 5, 4, 3, 2), start=1):
        page.wait_for_selector(f"#jobs li:nth-child({place}) >> text=waits for {others} other jobs")
    drop(page, query_file)  # the page still answers
    page.wait_for_selector("text=No problems found")
    page.click("#jobs li:nth-child(7) >> text=Cancel")
    page.wait_for_selector("#jobs li:nth-child(7) >> text=cancelled")
    for place in range(1, 7):
        page.wait_for_selector(f"#jobs li:nth-child({place}) >> text=Show")
    client = sp.app.Client(served)
    ours = client.jobs()[before:]
    assert [job["status"] for job in ours] == ["cancelled"] + 6 * ["done"]
    assert [job["started"] for job in ours] == sorted(job["started"] for job in ours)
    for job in ours:
        client.cancel(job["id"])


def test_a_table_the_other_way_round(visit, pbmc_query, tmp_path):
    """Genes in lines are recognised by their names; the box turns the table, and the next file begins anew."""
    counts = np.asarray(pbmc_query.X.todense() if hasattr(pbmc_query.X, "todense") else pbmc_query.X)
    table = pd.DataFrame(counts, index=pbmc_query.obs_names, columns=pbmc_query.var_names).astype(int)
    table.T.rename_axis("cell").to_csv(tmp_path / "turned.csv")
    page = visit()
    choose(page, "pbmc68k-scanvi@1")
    drop(page, tmp_path / "turned.csv")
    page.wait_for_selector("#check .card:has-text('264 cells, 765 genes; 100 %')")
    page.check("#transpose")
    page.wait_for_selector("#check .card:has-text('765 cells, 264 genes; 0 %')")
    assert page.is_disabled("#run")
    page.uncheck("#transpose")
    page.wait_for_selector("#check .card:has-text('264 cells, 765 genes; 100 %')")
    page.check("#transpose")
    drop(page, tmp_path / "turned.csv")
    page.wait_for_selector("#check .card:has-text('264 cells, 765 genes; 100 %')")
    assert not page.is_checked("#transpose")


def test_a_modality_is_named(visit, pbmc_query, tmp_path):
    """Of a file with two that may be genes; the page says so, and takes the name."""
    other = pbmc_query.copy()
    other.var_names = [f"{name}-2" for name in other.var_names]
    with mudata.set_options(pull_on_update=False):
        mudata.MuData({"first": pbmc_query.copy(), "second": other}).write_h5mu(tmp_path / "two.h5mu")
    page = visit()
    choose(page, "pbmc68k-scanvi@1")
    drop(page, tmp_path / "two.h5mu")
    page.wait_for_selector("#check .bad:has-text('second')")
    page.fill("#modality", "first")
    page.press("#modality", "Tab")
    page.wait_for_selector("#check .card:has-text('264 cells')")
    run(page, epochs=2)
    wait_shown(page, "two.h5mu")


def test_hostile_labels_stay_text(visit, pbmc_query, tmp_path):
    adata = pbmc_query.copy()
    adata.obs["batch"] = pd.Categorical(np.where(np.arange(adata.n_obs) % 2, HOSTILE, "plain"))
    adata.obs[HOSTILE.replace("/", "")] = pd.Categorical([HOSTILE] * adata.n_obs)
    adata.obs_names = [f"{HOSTILE}{i}" for i in range(adata.n_obs)]
    adata.write_h5ad(tmp_path / "<img src=x onerror=alert(1)>.h5ad")
    page = visit()
    choose(page, "pbmc68k-scanvi@1")
    page.fill("#path", str(tmp_path / "<img src=x onerror=alert(1)>.h5ad"))
    page.press("#path", "Enter")
    page.wait_for_selector("#run:enabled")
    run(page, epochs=2)
    wait_shown(page, "<img src=x")
    page.select_option("#color", "batch")
    page.wait_for_selector("#legend >> text=<script>")
    page.click("role=tab[name='Selection']")
    page.click("#panel button:has-text('Select what is shown')")
    page.click("text=Why? >> nth=0")
    page.wait_for_selector("#why")
    download(page, "SVG")
    assert page.title() != "taken"
    assert page.locator("main script, main img").count() == 0


def test_another_name_of_the_server_is_refused(chromium, served):
    """What a page elsewhere could do: lead its own name to this machine."""
    port = origin(served).rpartition(":")[2]
    context = chromium.new_context()
    page = context.new_page()
    answer = page.request.get(f"http://127.0.0.1:{port}/api/jobs", headers={"host": "evil.example"})
    assert answer.status == 403
    context.close()


def test_a_million_points_are_drawn_in_six_seconds(visit, served):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 20, 1_000_000).astype("<u2")
    xy = (10 * rng.normal(size=(20, 2))[label] + rng.normal(size=(label.size, 2))).astype("<f4")
    header = {"labels": [f"type {i}" for i in range(20)], "arrays": [
        {"name": "xy", "type": "f4", "length": xy.size}, {"name": "label", "type": "u2", "length": label.size}]}  # fmt: skip
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    body = len(text).to_bytes(4, "little") + text + xy.tobytes() + label.tobytes()
    context_of = visit()
    page = context_of.context.new_page()
    page.route("**/api/maps/*", lambda route: route.fulfill(body=body, content_type="application/octet-stream"))
    page.route("**/api/jobs", lambda route: route.fulfill(json={"jobs": []}))
    page.goto(origin(served))
    page.wait_for_selector("#over text", state="attached")
    times = page.evaluate("""async () => { const { plot } = window.page;
        while (!plot.drawn) await new Promise((done) => setTimeout(done, 20));
        const wait = () => plot.painter.read();
        const first = plot.drawn; wait(); let start = performance.now();
        plot.draw(60000); wait(); const moving = performance.now() - start;
        const paint = performance.getEntriesByType("paint").find(({ name }) => name === "first-contentful-paint").startTime;
        start = performance.now(); plot.draw(); wait();
        return { first, moving, paint, full: performance.now() - start }; }""")
    assert page.inner_text("#map-note").startswith("1,000,000 points")
    assert times["first"] < 6000
    assert times["paint"] < 2000
    assert times["moving"] < 250


def test_both_ways_to_draw_make_the_same_picture(visit):
    """With a graphics card, which chromium simulates here, and without."""
    page = visit()
    shares = page.evaluate("""async () => {
        const [{ Painter }, { RasterPainter }] = await Promise.all([import("/page/gl.js"), import("/page/raster.js")]);
        const xy = Float32Array.from({ length: 400 }, (_, i) => Math.sin(7.7 * i) * 0.9);
        const colors = Uint8Array.from({ length: 800 }, (_, i) => (i % 4 === 3 ? (i % 28 === 3 ? 0 : 255) : (37 * i) % 255));
        const marks = Uint8Array.from({ length: 200 }, (_, i) => Number(i % 9 === 0));
        const pictures = [Painter, RasterPainter].map((Kind) => {
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [300, 200];
            const painter = new Kind(canvas);
            const layer = painter.layer(xy);
            layer.size = 6;
            painter.paint(layer, colors, marks);
            painter.draw([layer], [1, 1], [0, 0], [0, 0, 0], Infinity);
            const flat = document.createElement("canvas");
            [flat.width, flat.height] = [300, 200];
            const context = flat.getContext("2d");
            context.drawImage(canvas, 0, 0);
            return context.getImageData(0, 0, 300, 200).data;
        });
        let [either, differ] = [0, 0];
        for (let i = 0; i < pictures[0].length; i += 4) {
            if (!pictures.some((one) => one[i + 3] > 128)) continue;
            either += 1;
            differ += [0, 1, 2, 3].some((k) => Math.abs(pictures[0][i + k] - pictures[1][i + k]) > 96);
        }
        return { either, differ: differ / either }; }""")
    assert shares["either"] > 2000
    assert shares["differ"] < 0.2  # rims are rounded in two ways


def test_the_page_is_small():
    assert sum(file.stat().st_size for file in PAGE.iterdir()) < 400_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(visit, scheme):
    page = visit(color_scheme=scheme, device_scale_factor=2, is_mobile=True, has_touch=True)
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate("""() => [...document.querySelectorAll("button, select, input:not(.unseen)")]
        .filter((one) => one.offsetParent && !["checkbox", "radio"].includes(one.type) && one.offsetHeight < 24).map((one) => one.outerHTML)""")
    assert small == []


def swatches(page):
    """Colours of the legend by group, as red, green and blue from 0 to 1."""
    page.wait_for_selector("#legend .swatch")
    found = page.evaluate("""() => [...document.querySelectorAll("#legend button:has(.swatch)")].map((one) => [
        one.childNodes[1].textContent.trim(), getComputedStyle(one.querySelector(".swatch")).backgroundColor])""")
    return {group: tuple(int(part) / 255 for part in re.findall(r"\d+", color)[:3]) for group, color in found}


def test_labels_keep_their_colours_and_a_dark_page_lightens_them(visit):
    """Labels of a reference have the colours of figures, by their place in it; none is lost on a dark page."""
    page = visit()
    choose(page, "pbmc68k-scanvi@1")
    light = swatches(page)
    first, second, *_ = (
        to_hex(light[label]) for label in sp.hub.load_reference("pbmc68k-scanvi").obs["cell_type"].cat.categories
    )
    assert (first, second) == ("#0072b2", "#e69f00")
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(300)
    dark = swatches(page)
    assert set(dark) == set(light)
    back = [24 / 255] * 3
    for color in dark.values():
        assert contrast(color, back) > 2.5
    assert len({to_hex(color) for color in dark.values()}) == len(light)


def contrast(one, other):
    """Contrast of two colours (WCAG 2)."""
    linear = [
        np.where(np.array(color) <= 0.04045, np.array(color) / 12.92, ((np.array(color) + 0.055) / 1.055) ** 2.4)
        for color in (one, other)
    ]
    high, low = sorted((float(np.dot([0.2126, 0.7152, 0.0722], color)) for color in linear), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_keyboard_and_screen_readers_reach_everything(visit, query_file):
    page = visit()
    nameless = page.evaluate("""() => [...document.querySelectorAll("button, select, input, canvas, progress")]
        .filter((one) => one.offsetParent !== null)
        .filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label") || one.labels?.length || one.getAttribute("aria-hidden"))).map((one) => one.outerHTML)""")
    assert nameless == []
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id"))
    assert {"reference", "file", "points", "fit"} <= seen
    page.focus("#points")
    before = page.evaluate("({ ...window.page.plot.view })")
    for key in ("ArrowLeft", "+"):
        page.keyboard.press(key)
    after = page.evaluate("({ ...window.page.plot.view })")
    assert after["x"] < before["x"]
    assert after["scale"] > before["scale"]
    page.keyboard.press("0")
    assert page.evaluate("window.page.plot.view.scale") == pytest.approx(before["scale"])
