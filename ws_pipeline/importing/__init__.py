"""Exports of labelling tools and tables of crowd answers become a folder that the pipeline runs on.

Start reading at :mod:`ws_pipeline.importing.command`; each format has a module with one reader, listed in
:mod:`ws_pipeline.importing.formats`.
"""
