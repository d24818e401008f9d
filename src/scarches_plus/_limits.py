"""Name every limit on what comes from outside: sizes in bytes, times in seconds. docs/guide/border.md explains them."""

#: A text file that describes something, such as an index of models: real ones have a few hundred kB.
INDEX_BYTES = 16 * 2**20
#: The manifest of a bundle: 60,000 genes and 1,000 labels make 3 MB.
MANIFEST_BYTES = 16 * 2**20
#: How many times as much as its bytes a pickle may describe: tensors may share their storage.
PICKLE_EXPANSION = 4
#: An address: links that are signed have 3,000 characters.
ADDRESS_CHARACTERS = 8_192
#: Redirects of one request.
MOST_REDIRECTS = 10
#: Places at which the files of a model lie.
MOST_MIRRORS = 8
