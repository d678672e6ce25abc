"""Damaged and odd input files for every command: no traceback, hang, crash or partial output.

::

    mutate      damage bytes and text, and put odd values into JSON
    seeds       small valid files in every format that is read, made in code
    cases       one damaged file and the command that reads it, by kind and number
    judge       what a case may do
    run         a case in a forked child with limits of time and memory
    __main__    all of them: ``python -m tests.fuzz``

A case is decided by its kind, its number and the seed, so that it can be repeated alone.
"""
