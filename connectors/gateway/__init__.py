"""The doors for devices: TCP, UDP and MQTT servers and clients, and the one pipe through which all of them write to Kafka."""
