"""The rate of checkouts and the processor time of each part: shops and a bare service, side by side in one run.

`python -m benchmarks.speed` (`make bench-speed`) takes about seven minutes; `--all` measures every contender. All
contenders of a stage are up at once and take turns under load, so that other work on the machine meets each of them alike. A
ratio is the median of the ratios of each round. The clients use the services' own ports, without a gateway.

A contender is `bare` or `PROTOCOL`, with `/always` for the store's log, with `/OPTION=VALUE` for an option of the
protocol: `2pc`, `2pc/always`, `2pc/locks=no-wait`. `bare` is an aiohttp service that runs one atomic store script a
request (`benchmarks/bare.py`): the rate of a protocol without any cost.
"""
