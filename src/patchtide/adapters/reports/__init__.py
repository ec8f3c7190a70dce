"""Named reports as files: CSV, workbooks, JSON, paged documents, all of the same value."""
