"""The open-loop HTTP probe: the clients' view while hosts change, and reasons not to trust it.

`client.ProbeProcess` runs it in a process of its own (`python -m balbook.probe`), `client.read_findings` reads its files.
It only sends requests and writes samples; it never decides about a rollout.
"""
