"""``flowtell bench``: what flowtell costs, how late its verdicts are, and how many cameras fit; JSON and a table."""
