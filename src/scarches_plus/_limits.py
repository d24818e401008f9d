"""Name every limit on what comes from outside: sizes in bytes, times in seconds. docs/guide/border.md explains them."""

#: A text file that describes something, such as an index of models: real ones have a few hundred kB.
INDEX_BYTES = 16 * 2**20
#: The manifest of a bundle: 60,000 genes and 1,000 labels make 3 MB.
MANIFEST_BYTES = 16 * 2**20
#: How many times as much as its bytes a pickle may describe: tensors may share their storage.
PICKLE_EXPANSION = 4
#: Epochs of a training, layers of a network and units of a layer: more is a slip of the finger, and would end in memory.
EPOCHS = 1_000_000
LAYERS = 100
UNITS = 100_000
#: Random draws for an interval or an expectation, bins of a curve, and genes and entries of simulated counts.
DRAWS = 1_000_000
BINS = 10_000
GENES = 1_000_000
ENTRIES = 2**31
