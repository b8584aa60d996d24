"""The command line, and the local run. Never in the Lambda package."""
