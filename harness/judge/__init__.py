"""The examination of a shop that somebody else wrote and runs, through nothing but its public API.

parts/ has one file and one row of `PARTS` for each part of the examination. A part conducts rounds (`round.py`): load, faults,
heal, settling and final reads, recorded as a history each and judged by the checkers of `wdm chaos`. `diagnosis.py` names the
defect behind each violation, and `sheet.py` is the grade sheet.
"""
