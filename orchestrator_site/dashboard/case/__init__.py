"""One case across all systems: found by any of its names, told on a page, in a file, over the API.

`finding.py` knows what a text may name. `story.py` puts together what is known of a case: each
kind of case has its module, which reads its rows and tells its way in hops. `page.py`, `api.py`,
`archive.py` and the command `case` show the same story.
"""
