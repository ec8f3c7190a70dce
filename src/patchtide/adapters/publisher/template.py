"""The definition that a new one starts from."""

from __future__ import annotations

TEMPLATE = """\
# An update of your own. Check it with: patchtide publisher validate FOLDER
id: example/hello/2.10
title: Hello 2.10
description: |
  What it is for, and why it matters.
vendor: Example
classification: general-update
severity: none
products: [Hello]
architectures: [amd64]
rules:
  # May it be evaluated here? Is it for this machine? Is it there already?
  prerequisite: os debian 12
  applicable: deb hello installed
  installed: deb hello >= 2.10-3
installer:
  kind: deb
restart: never
maximum_run_time: 30 min
files:
  - path: hello_2.10-3_amd64.deb
    package: hello
    version: 2.10-3
"""
