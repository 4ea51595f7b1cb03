"""What stays behind: memory after a million timers that never fired.

What an idle connection costs is among the network benchmarks, since it needs a client.
"""
