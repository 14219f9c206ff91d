"""How fast checkouts are, and where the time goes: shops and a bare service, side by side in one run.

``python -m benchmarks.speed`` (``make bench-speed``) takes about seven minutes, ``--all`` everything there is. All contenders
of a stage are up at once and take turns being asked, so that whatever else the machine does meets each of them alike, and a
ratio is the median of the ratios of each round. The clients talk to the services' own ports, without a gateway.

A contender is ``bare`` or ``PROTOCOL``, with ``/always`` for the store's log, with ``/OPTION=VALUE`` for an option of the
protocol: ``2pc``, ``2pc/always``, ``2pc/locks=no-wait``. ``bare`` is an aiohttp service that runs one atomic store script a
request, as anybody would write it (``benchmarks/bare.py``): what a protocol that cost nothing would do.
"""
