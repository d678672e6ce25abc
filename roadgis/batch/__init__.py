"""Counties: imagery of many sheets, mapped in units by any number of processes and machines.

In the order of their dependencies: `sheets` (sources), `codec` (settings as JSON), `units` (the
parts of a county and their keys), `plan` (what decides every result), `store` (a county's files),
`leases` (who works on what), `work` (one step of one unit), `failures` (which errors pass),
`board` (what can be done next), `engine` (where it is done), `run`, `table` (the state as a table),
`merge`, `update`, `report`.

A result's file is named after the unit and a hash of all that decides its values, and appears in
one step. So what is done shows in a listing of the folder, a process may be killed at any moment,
and two that do the same step write the same values.
"""
