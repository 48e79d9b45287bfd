#!/usr/bin/env python3
"""What confluent-kafka (librdkafka) does with a broker: `confluent_clients.py BOOTSTRAP PREFIX`."""

import confluent_admin  # noqa: F401  each brings its scenarios
import confluent_data  # noqa: F401
import confluent_groups  # noqa: F401
import confluent_transactions  # noqa: F401
import scenarios

if __name__ == "__main__":
    scenarios.main(__doc__)
