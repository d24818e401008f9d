"""Name every limit on what comes from outside: sizes in bytes, times in seconds. docs/guide/border.md explains them."""

#: An index of models: one with 60 labels takes 4 kB.
INDEX_BYTES = 4 * 2**20
MOST_MODELS = 500
#: The manifest of a bundle: 60,000 genes and 1,000 labels make 3 MB; also the header of a file of tensors, which takes 100 kB.
MANIFEST_BYTES = 8 * 2**20
#: Values of a manifest or index: genes, labels, and the positions of genes that queries lacked.
JSON_VALUES = 500_000
#: Tables and their keys: 40 for each model of an index, one for each batch, label and layer of a manifest.
JSON_NAMES = 25_000
#: Digits of a whole number.
JSON_DIGITS = 100
#: An answer of a registry: a list of 100 records takes 1 MB, and has 300 names for each.
ANSWER_BYTES = 16 * 2**20
ANSWER_NAMES = 200_000
#: How many times as much as its bytes a pickle may describe: tensors may share their storage.
PICKLE_EXPANSION = 4
#: An address: links that are signed have 3,000 characters.
ADDRESS_CHARACTERS = 8_192
#: Redirects of one request.
MOST_REDIRECTS = 10
#: Places at which the files of a model lie.
MOST_MIRRORS = 8
#: Bytes a second that a transfer has to bring, seen over a window of so many seconds; an answer has to begin within one.
SLOWEST = 4 * 2**10
WINDOW_SECONDS = 60.0
#: All of an index.
INDEX_SECONDS = 30.0
#: The window of a registry, which puts files together before it answers.
REGISTRY_SECONDS = 300.0
#: How long a server may ask to be left alone; one with an index is left alone for good after less.
LONGEST_WAIT = 120.0
LONGEST_INDEX_WAIT = 10.0
#: Lines of an answer that are none of its contents: headers, and one for each chunk of so many bytes.
MOST_LINES = 1_000
LINE_BYTES = 64
