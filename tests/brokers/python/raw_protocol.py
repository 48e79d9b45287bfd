"""Requests of Kafka's protocol as plain dictionaries, one at a time on one connection, with the schemas of kafka-python.

Knows how messages and record batches are written and read. Retries nothing and interprets nothing.
"""

import socket
import struct

import kafka.protocol.admin
import kafka.protocol.consumer
import kafka.protocol.metadata
import kafka.protocol.producer
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords

_MODULES = (kafka.protocol.admin, kafka.protocol.consumer, kafka.protocol.metadata, kafka.protocol.producer)
_CODECS = {"none": 0, "gzip": 1}

#: Seconds that a broker has to answer; a guard against hanging.
PATIENCE = 30


def _message(name):
    for module in _MODULES:
        if hasattr(module, name):
            return getattr(module, name)
    raise KeyError(name)


def _filled(owner, fields, version):
    """A structure of the schema, made of a dictionary."""
    values = {}
    for name, value in fields.items():
        field = owner._struct.fields[name]
        if field.is_struct_array() and value is not None:
            value = [_filled(field.data_class, item, version) if isinstance(item, dict) else item for item in value]
        elif field.is_struct() and value is not None:
            value = _filled(field.data_class, value, version)
        values[name] = value
    return owner(version=version, **values)


class Connection:
    """One connection to a broker."""

    def __init__(self, bootstrap):
        host, port = bootstrap.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self._correlation = 0

    def call(self, name, version, **fields):
        """Sends `name` + Request and returns the answer as a dictionary."""
        request = _filled(_message(f"{name}Request"), fields, version)
        self._correlation += 1
        request.with_header(correlation_id=self._correlation, client_id="raw")
        self._socket.sendall(bytes(request.encode(header=True, framed=True)))
        (length,) = struct.unpack(">i", self._read(4))
        answer = _message(f"{name}Response").decode(self._read(length), version=version, header=True)
        if answer.header.correlation_id != self._correlation:
            raise ConnectionError(f"{name}: answer {answer.header.correlation_id}, asked {self._correlation}")
        return answer.to_dict(json=False)

    def _read(self, count):
        parts = []
        while count:
            part = self._socket.recv(min(count, 1 << 20))
            if not part:
                raise ConnectionError("the broker closed the connection")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def close(self):
        self._socket.close()


def batch(records, codec="none", producer=(-1, -1, -1), transactional=False):
    """A record batch of (timestamp, key, value, headers), by a producer's id, epoch and first sequence number."""
    ident, epoch, sequence = producer
    builder = DefaultRecordBatchBuilder(2, _CODECS[codec], transactional, ident, epoch, sequence, 1 << 24)
    for offset, (at, key, value, headers) in enumerate(records):
        builder.append(offset, timestamp=at, key=key, value=value, headers=headers)
    return bytes(builder.build())


def batches(data):
    """The complete batches in what was fetched, as dictionaries."""
    found, records = [], MemoryRecords(data or b"")
    while records.has_next():
        one = records.next_batch()
        content = [(r.offset, r.timestamp, r.key, r.value, [(k, v) for k, v in r.headers]) for r in one]
        found.append({
            "base": one.base_offset, "last": one.last_offset, "codec": one.compression_type,
            "append_time": one.timestamp_type == 1, "control": one.is_control_batch,
            "transactional": one.is_transactional, "producer": one.producer_id, "epoch": one.producer_epoch,
            "sequence": one.base_sequence, "records": content,
        })
    return found
