"""The archive: every record of every topic as Parquet files that are their own progress.

`layout` names the files, `table` turns records into columns, `shelf` writes them, `verify` compares them with
Kafka, `query` answers SQL over them.
"""
