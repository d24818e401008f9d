"""Write the cards of the references again, and leave all else of them as it is: ``make cards``.

For when the words of a card change, in build.py or in the package, and the models do not.
"""

from pathlib import Path

from build import FOLDER, card_of

import scarches_plus as sp
from scarches_plus._files import write_folder
from scarches_plus._json import write_json
from scarches_plus.bundle import (
    CHECKSUMS,
    MANIFEST,
    README,
    card_text,
    checksums,
    no_bundle,
    read_listed,
    read_manifest,
    sha256_of,
)


def rewrite(folder: Path) -> None:
    """Write the card of a bundle again."""
    manifest, _ = read_manifest(folder)
    files = {name: read_listed(folder, manifest, name) for name in manifest.files}
    values = manifest.model_dump(exclude=None if manifest.state.origin else {"state": {"origin"}})
    values["card"] |= card_of(folder.name)
    files[README] = card_text(values).encode()
    values["files"][README] = {"size": len(files[README]), "sha256": sha256_of(files[README])}
    files[MANIFEST] = write_json(values)
    files[CHECKSUMS] = checksums({name: sha256_of(contents) for name, contents in files.items()})
    write_folder(folder, files, overwrite=True, foreign=no_bundle)


def main() -> None:
    for folder in sorted(one.parent for one in FOLDER.glob(f"*/{MANIFEST}")):
        rewrite(folder)
    sp.hub.write_index(FOLDER)


if __name__ == "__main__":
    main()
