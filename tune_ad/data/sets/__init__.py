"""One module per data set, each holding one value `DATA_SET`; a new file is a new data set."""
