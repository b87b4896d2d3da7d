"""What the Bicep compiler does not know of infra/: checked on its snapshots, in which it shows a whole deployment.

`python -m dev.bicep [infra]` prints a line for each finding. It needs no compiler: the snapshots are committed, and CI
holds them against the templates (`make snapshots` renews them).
"""
