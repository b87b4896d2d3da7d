"""Static checks of the templates in infra/ and of what goes with them, for machines without the Bicep compiler.

`python -m dev.bicep [infra]` prints a line for each finding. The compiler knows more; where it is there, run it too.
"""
