from tests.analysis.golden import write

write()
