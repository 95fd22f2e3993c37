"""What flows: every topic with key, partitions, retention and Avro schema; bytes <-> columns. Imports nothing of ours."""
