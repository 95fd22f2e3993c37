"""Gateway protocols as pure functions: bytes in, frames or named errors out. No Kafka, no clock, no input, no output.

One protocol a file, each usable alone: they import only each other, by relative imports, so that the package can be moved.

>>> from connectors.protocols import gb26875, hj212
>>> hj212.splitter().feed(b"##0087QN=20240601085857223;ST=32;CN=1011;PW=123456;MN=010000A8900016F000169DC0;"
...                       b"Flag=9;CP=&&&&2200\\r\\n")[0].header["CN"]
'1011'
"""
