"""One module for each data set, with one value `DATA_SET`: a new file is a new data set."""
