"""The local run: the template deployed into an embedded AWS, its functions run by the real Lambda runtime client.

Start reading at `run.py`. Nothing in this package is deployed to AWS.
"""
