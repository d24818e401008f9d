"""What a bundle holds, what it does not, and that it is written whole or not at all."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from small_models import NETWORK, SCANVI, SCVI, cells, reference, setup, split, train

import scarches_plus as sp


def strings_and_lists(value):
    """Every text of a JSON value, and the length of every list."""
    if isinstance(value, dict):
        texts, lengths = set(value), set()
        for one in value.values():
            more = strings_and_lists(one)
            texts, lengths = texts | more[0], lengths | more[1]
        return texts, lengths
    if isinstance(value, list):
        found = [strings_and_lists(one) for one in value]
        return {text for one in found for text in one[0]}, {n for one in found for n in one[1]} | {len(value)}
    return ({value} if isinstance(value, str) else set()), set()


def test_nothing_about_single_cells_by_default(model, ref, tmp_path):
    folder = sp.hub.save_bundle(model, tmp_path / "bundle")
    assert {file.name for file in folder.iterdir()} == {
        "manifest.json", "SHA256SUMS", "README.md", "weights.safetensors", "importance.safetensors", "summary.safetensors",
    }  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text())
    texts, lengths = strings_and_lists(manifest)
    of_cells = {ref.n_obs, ref.n_obs + 1, len(model.train_indices), len(model.validation_indices)}
    assert not lengths & of_cells
    assert not {text for text in texts if "SECRET" in text or "indices" in text or "uuid" in text}
    for file in folder.iterdir():
        contents = file.read_bytes()
        assert b"SECRET" not in contents
        if file.suffix == ".safetensors":
            assert not {n for one in safetensors.torch.load(contents).values() for n in one.shape} & of_cells
    assert "Data of single cells\n\nThis bundle holds none" in (folder / "README.md").read_text()


def test_cells_only_on_request(bundle, model, ref, tmp_path):
    assert {"anchors.safetensors", "reference.safetensors"} <= {file.name for file in bundle.iterdir()}
    assert b"SECRET" not in b"".join(file.read_bytes() for file in bundle.iterdir())
    assert "latent, variance, labels, counts of" in (bundle / "README.md").read_text()
    with pytest.raises(ValueError, match="reference="):
        sp.hub.save_bundle(model, tmp_path / "a", include=["latent"])
    with pytest.raises(ValueError, match="another latent space"):
        sp.hub.save_bundle(model, tmp_path / "a", reference=ref, include=["latent"])
    with pytest.raises(ValueError, match="X_umap"):
        sp.hub.save_bundle(model, tmp_path / "a", reference=ref, include=["umap"])
    with pytest.raises(ValueError, match="names"):
        sp.hub.save_bundle(model, tmp_path / "a", reference=ref, include=["names"])
    with pytest.raises(ValueError, match="nothing"):
        sp.hub.save_bundle(
            model, tmp_path / "a", reference=ref, include=["labels"], labels_key="nothing", summary=False
        )
    assert not (tmp_path / "a").exists()


def test_a_summary_of_few_cells_stays_at_home(bundle, tmp_path):
    model = sp.hub.load_bundle(bundle)
    kept = model.state.summaries["cell_type"]
    for n, refused in ((3.0, True), (19.9, True), (20 - 1e-5, False)):
        n_cells = kept.n_cells.clone()
        n_cells[-1] = n
        model.remember(summaries={"cell_type": replace(kept, n_cells=n_cells)})
        if refused:
            with pytest.raises(
                ValueError, match=r"'type2'.* in 'cell_type' have fewer than 20 cells.*summarize_reference"
            ):
                sp.hub.save_bundle(model, tmp_path / "few")
            assert not (tmp_path / "few").exists()
            sp.hub.save_bundle(model, tmp_path / "none", summary=False, overwrite=True)
        else:
            sp.hub.verify_bundle(sp.hub.save_bundle(model, tmp_path / "few"))


def test_what_is_optional(model, scvi_model, tmp_path):
    bare = sp.hub.save_bundle(model, tmp_path / "bare", summary=False, importance=False)
    assert {file.name for file in bare.iterdir()} == {"manifest.json", "SHA256SUMS", "README.md", "weights.safetensors"}
    assert sp.hub.load_bundle(bare).state.importance is None
    other = sp.hub.save_bundle(scvi_model, tmp_path / "other", labels_key=["cell_type", "batch"])
    assert set(sp.hub.load_bundle(other).state.summaries) == {"cell_type", "batch"}
    assert scvi_model.state.summaries == {}, "saving does not change the model"
    with pytest.raises(ValueError, match="store_anchors"):
        sp.hub.save_bundle(scvi_model, tmp_path / "no", anchors=True)


def test_checksums_are_those_of_sha256sum(bundle):
    run = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=bundle, capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr
    listed = {line.split("  ")[1] for line in (bundle / "SHA256SUMS").read_text().splitlines()}
    assert listed == {file.name for file in bundle.iterdir()} - {"SHA256SUMS"}


def test_card_is_made_from_the_manifest(model, tmp_path):
    card = {
        "name": "a-b", "title": "Title | of it", "license": "CC-BY-4.0", "contacts": ["A. Person"], "citation": "Cite this.",
        "evaluation": {"accuracy": 0.9}, "label_hierarchy": {"type0": "types"},
    }  # fmt: skip
    folder = sp.hub.save_bundle(model, tmp_path / "bundle", card=card, calibration={"threshold": 0.3})
    text = (folder / "README.md").read_text()
    for part in (
        "# Title \\| of it",
        "CC-BY-4.0",
        "A. Person",
        "Cite this.",
        "| accuracy | 0.9 |",
        "type0, type1, type2",
    ):
        assert part in text
    manifest = sp.hub.verify_bundle(folder)
    assert manifest.card == sp.hub.Card(**card)
    assert manifest.calibration == {"threshold": 0.3}
    with pytest.raises(ValueError, match="name"):
        sp.hub.save_bundle(model, tmp_path / "other", card={"name": "../a"})
    with pytest.raises(TypeError, match=r"'licence'.*did you mean 'license'"):
        sp.hub.save_bundle(model, tmp_path / "other", card={"licence": "MIT"})


def test_untrained_models_are_refused(ref, tmp_path):
    SCVI.setup_anndata(cells := ref.copy(), batch_key="batch")
    with pytest.raises(ValueError, match="not trained"):
        sp.hub.save_bundle(SCVI(cells), tmp_path / "bundle")


def test_size_beside_the_parameters(tmp_path):
    """A model of ordinary size: at most 5 % more than its parameters."""
    adata = split(cells(n_cells=120), "batch2")[0]
    wide = sp.pp.align_genes(adata, [*adata.var_names, *(f"ENSG{i:011d}" for i in range(2000))])
    model = reference(SCVI, wide, n_hidden=128, n_latent=10)
    folder = sp.hub.save_bundle(model, tmp_path / "bundle", labels_key="cell_type")
    parameters = sum(one.numel() * one.element_size() for one in model.module.parameters())
    written = sum(file.stat().st_size for file in folder.iterdir())
    assert written <= 1.05 * parameters


# --- Whole or not at all ---


def test_nothing_is_overwritten_unasked(model, tmp_path):
    folder = sp.hub.save_bundle(model, tmp_path / "bundle")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        sp.hub.save_bundle(model, folder)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "link").symlink_to(folder)
    for other in ("thesis", "file", "link"):
        with pytest.raises(FileExistsError):
            sp.hub.save_bundle(model, tmp_path / other, overwrite=True)
    assert (tmp_path / "thesis" / "thesis.tex").read_text() == "years of work"
    sp.hub.save_bundle(model, folder, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "thesis", "file", "link"}


def contents_of(folder):
    return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "thesis.tex").write_text("years of work"),
        lambda folder: (folder / ".git").mkdir(),
        lambda folder: (folder / "manifest.json").write_text('{"name": "a web app"}'),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: ((folder / "README.md").unlink(), (folder / "README.md").mkdir()),
    ],
)
def test_what_is_no_bundle_is_left_alone(model, bundle, change):
    change(bundle)
    before = contents_of(bundle)
    with pytest.raises(FileExistsError, match="left alone: it"):
        sp.hub.save_bundle(model, bundle, overwrite=True)
    assert contents_of(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


LIMITED = """
    import resource, signal, sys
    from pathlib import Path
    from scarches_plus._files import write_folder

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
    try:
        write_folder(Path(sys.argv[1]), {"manifest.json": b"{}", "weights.safetensors": bytes(20_000)}, overwrite=True)
    except OSError as error:
        print("refused", error.errno)
"""
REPLACE_AGAIN_AND_AGAIN = """
    import itertools, os, sys
    from pathlib import Path
    from scarches_plus._files import write_folder

    for _ in sys.stdin:  # a child for each line
        child = os.fork()
        if not child:
            for i in itertools.count():
                write_folder(
                    Path(sys.argv[1]), {"manifest.json": b"%d" % i, "weights.safetensors": b"%d" % i * 1000}, overwrite=True
                )
                if not i:
                    print(os.getpid(), flush=True)
        os.waitpid(child, 0)
        print("dead", flush=True)
"""


SAVE_AGAIN_AND_AGAIN = """
    import itertools, os, sys
    import torch
    import scarches_plus as sp

    torch.set_num_threads(1)  # more do not survive a fork
    model = sp.hub.load("simulated-scvi")
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            for i in itertools.count():
                sp.hub.save_bundle(model, sys.argv[1], card={"version": str(i)}, overwrite=True)
                if not i:
                    print(os.getpid(), flush=True)
        os.waitpid(child, 0)
        print("dead", flush=True)
"""


def run_python(code, folder, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(folder)], stdout=subprocess.PIPE, text=True, **kwargs
    )


def test_a_full_disk_leaves_what_was_there(model, tmp_path):
    folder = sp.hub.save_bundle(model, tmp_path / "bundle")
    process = run_python(LIMITED, folder)
    assert process.communicate()[0].startswith("refused")
    sp.hub.verify_bundle(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="mounting needs root")
def test_a_full_file_system_leaves_what_was_there(model, tmp_path, monkeypatch):
    """The old bundle is whole, and the new one is kept where there is room: in the working folder."""
    monkeypatch.chdir(tmp_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine cannot mount")
    try:
        folder = sp.hub.save_bundle(model, disk / "bundle")
        (disk / "filler").write_bytes(bytes(40_000))
        with pytest.raises(OSError, match="No space"):
            sp.hub.save_bundle(model, folder, overwrite=True)
        sp.hub.verify_bundle(folder)
        assert sorted(path.name for path in disk.iterdir()) == ["bundle", "filler"]
        (kept,) = (path for path in tmp_path.iterdir() if path != disk)
        sp.hub.verify_bundle(kept)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_kill_leaves_the_old_or_the_new(tmp_path):
    """Killed at any moment, the folder holds one whole version."""
    folder = tmp_path / "bundle"
    interrupted = 0
    with run_python(REPLACE_AGAIN_AND_AGAIN, folder, stdin=subprocess.PIPE) as process:
        for attempt in range(6):
            process.stdin.write("again\n")
            process.stdin.flush()
            child = int(process.stdout.readline())
            time.sleep(0.0067 * attempt)
            os.kill(child, signal.SIGKILL)
            assert process.stdout.readline() == "dead\n"
            interrupted += not folder.exists()
            whole = folder if folder.exists() else tmp_path / ".bundle.previous"
            number = (whole / "manifest.json").read_bytes()
            assert (whole / "weights.safetensors").read_bytes() == number * 1000
    assert interrupted < 6


def test_a_kill_of_save_bundle_leaves_the_old_or_the_new(tmp_path):
    folder = tmp_path / "bundle"
    with run_python(SAVE_AGAIN_AND_AGAIN, folder, stdin=subprocess.PIPE) as process:
        for attempt in range(4):
            process.stdin.write("again\n")
            process.stdin.flush()
            child = int(process.stdout.readline())
            time.sleep(0.013 * attempt)
            os.kill(child, signal.SIGKILL)
            assert process.stdout.readline() == "dead\n"
            assert sp.hub.verify_bundle(folder).card.version.isdecimal()


def test_what_a_killed_write_left_is_removed_once_it_is_old(model, tmp_path):
    folder = sp.hub.save_bundle(model, tmp_path / "bundle")
    names = {
        "abandoned": f".bundle-{'0' * 16}",
        "being written": f".bundle-{'1' * 16}",
        "of another bundle": f".bundle-b-{'2' * 16}",
        "not ours": f".bundle-{'3' * 16}",
        "link": f".bundle-{'4' * 16}",
        "notes": ".bundle-notes",
    }
    long_ago = time.time() - 4000
    for kind, name in names.items():
        if kind == "link":
            (tmp_path / name).symlink_to(folder)
            continue
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.safetensors").write_bytes(b"half")
        if kind == "not ours":
            (tmp_path / name / "thesis").mkdir()
        for path in [tmp_path / name] if kind == "being written" else [*(tmp_path / name).iterdir(), tmp_path / name]:
            os.utime(path, (long_ago, long_ago))
    sp.hub.save_bundle(model, folder, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", *names.values()} - {names["abandoned"]}


def test_a_replacement_that_was_interrupted_between_two_renames(model, query, tmp_path):
    folder = sp.hub.save_bundle(model, tmp_path / "bundle")
    folder.rename(tmp_path / ".bundle.previous")
    np.testing.assert_array_equal(sp.hub.load_bundle(folder).state.space, model.state.space)
    with pytest.raises(FileExistsError):
        sp.hub.save_bundle(model, folder)
    sp.hub.save_bundle(model, folder, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("opens", [sp.hub.info, sp.hub.load_bundle, sp.hub.verify_bundle])
def test_a_bundle_that_is_replaced_while_it_is_read(bundle, tmp_path, monkeypatch, opens):
    """The manifest is that of one bundle, the rest that of the next: it is read again, but not for ever."""
    replacing, reads, open_file = shutil.copytree(bundle, tmp_path / "next"), [], os.open
    manifest = json.loads((replacing / "manifest.json").read_text())

    def replaced(path, *args, **kwargs):
        opened = open_file(path, *args, **kwargs)
        if Path(os.fsdecode(path)).name == "manifest.json" and len(reads) < most:
            reads.append(path)
            text = json.dumps({**manifest, "created": f"at {len(reads)}"}).encode()
            sums = {name: entry["sha256"] for name, entry in manifest["files"].items()}
            sums["manifest.json"] = hashlib.sha256(text).hexdigest()
            (replacing / "manifest.json").write_bytes(text)
            (replacing / "SHA256SUMS").write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))
            following = shutil.copytree(replacing, tmp_path / "following")
            shutil.rmtree(bundle)
            following.rename(bundle)
        return opened

    monkeypatch.setattr(os, "open", replaced)
    most = 2
    opens(bundle)
    assert len(reads) == 2
    assert sp.hub.info(bundle).created == "at 2"
    reads.clear()
    most = 100
    with pytest.raises(sp.hub.BundleError, match="does not agree"):
        opens(bundle)
    assert len(reads) < 10


def test_a_model_that_was_mapped_carries_on(model, query, tmp_path):
    mapped = train(type(model).load_query_data(query, model), 1)
    folder = sp.hub.save_bundle(mapped, tmp_path / "bundle")
    again = sp.hub.load_bundle(folder)
    assert again.state == mapped.state
    assert again.surgery == mapped.surgery


def test_the_hierarchy_of_labels_travels(ref, query, tmp_path):
    tree = sp.pp.label_tree({"inner": {"type0": [], "type1": []}, "type2": [], "never seen": []})
    coarse = ref.copy()
    coarse.obs["cell_type"] = coarse.obs["cell_type"].astype(str)
    coarse.obs.iloc[:20, coarse.obs.columns.get_loc("cell_type")] = "inner"
    coarse.obs["cell_type"] = coarse.obs["cell_type"].replace({"type1": "inner"})  # no cell is labelled as a type1
    setup(SCANVI, coarse)
    model = train(SCANVI(coarse, hierarchy=tree, **NETWORK), 1)
    loaded = sp.hub.load_bundle(sp.hub.save_bundle(model, tmp_path / "bundle"))
    assert loaded.hierarchy == tree
    assert json.loads((tmp_path / "bundle" / "manifest.json").read_text())["card"]["label_hierarchy"] == {
        "type0": "inner",
        "type1": "inner",
    }
    known = ref[:40].copy()
    known.obs["cell_type"] = "Unknown"
    np.testing.assert_array_equal(model.predict_nodes(known.copy()), loaded.predict_nodes(known.copy()))
    mapped = sp.tl.map_query(query, loaded, max_epochs=1, train_kwargs={"enable_progress_bar": False})
    assert mapped.predict(unknown_above=0.9).tolist()
    assert mapped.hierarchy == tree
