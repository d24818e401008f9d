"""Name every limit on what comes from outside: sizes in bytes, times in seconds. docs/guide/border.md explains them."""

#: A text file that describes something, such as an index of models: real ones have a few hundred kB.
INDEX_BYTES = 16 * 2**20
#: The manifest of a bundle: 60,000 genes and 1,000 labels make 3 MB.
MANIFEST_BYTES = 16 * 2**20
#: How many times as much as its bytes a pickle may describe: tensors may share their storage.
PICKLE_EXPANSION = 4
#: Opcodes of a pickle, apart from runs of numbers: 60,000 names of genes make 120,000.
PICKLE_STEPS = 2**19
#: Numbers in runs, of which references to what was there before count half: labels of four million cells.
PICKLE_VALUES = 2**21
#: Lists, tuples, dictionaries and objects of a pickle: a model has some thousands.
PICKLE_CONTAINERS = 2**15
#: Members of an archive, one for each tensor: a model has some hundred.
ARCHIVE_MEMBERS = 2**14
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
