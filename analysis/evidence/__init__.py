"""The results of this project: a page, the reports behind it and the lines of the README.

All are made from a folder of records and of questions: `python -m analysis.evidence FOLDER`.
"""
