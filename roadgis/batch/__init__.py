"""Counties: imagery of many sheets, mapped in units by any number of processes and machines.

Modules in order of dependency: `storage` (a folder or an object store), `sheets` (usable and
unusable sheets), `codec` (settings as JSON), `units` (squares of the grid and their keys),
`settings` (of the user), `plan` (everything that determines the results), `planning` (makes a
plan), `store` (the county's files), `leases` (which process works on which unit), `work` (one step
of one unit), `failures` (which errors are retried), `board` (scheduling), `engine` (this process,
local processes or a Dask cluster), `run`, `items` (STAC Items of units), `lengths` (of lines within
units), `merge`, `update`, `report/` (status of all units, and a page about the county).

Each result file is named after its unit and a hash of everything that determines its values, and
is written by one rename or one upload. A listing of the folder therefore shows what is done, any
process may be killed at any moment, and two processes that do the same step write the same values.
"""
