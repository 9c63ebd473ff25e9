"""The console: what people see and do with a browser, over the services that API and command line have.

`pages.py` is the one table of pages. `serving.py` lets a browser through to a page, `page.py` is what a page is given.
A package for each family of pages; `docs/architecture.md`, "Console", says how to write one.
"""
