import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericEnumSymbol;
import org.apache.avro.generic.GenericFixed;
import org.apache.avro.generic.IndexedRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.util.Utf8;

/**
 * Apache Avro for Java as the judge. One JSON object a line on standard input, one JSON answer a line on
 * standard output:
 *
 * <pre>
 * {"pair": [READER, WRITER]}                        {"compatible": true|false, "reasons": ["KIND at /path"]} or {"error": "…"}
 * {"read": [WRITER, READER], "bodies": ["hex", …]}  {"values": ["…" or "error: …", …]} or {"error": "…"}
 * </pre>
 *
 * Schemas are texts. Values are said as `Seen::say` says them: floats by their bits, text and bytes in
 * hexadecimal, entries in order of key.
 */
public final class Judge {
  private static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] arguments) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      JsonNode ask = JSON.readTree(line);
      ObjectNode answer = JSON.createObjectNode();
      try {
        if (ask.has("pair")) {
          pair(schema(ask.get("pair").get(0)), schema(ask.get("pair").get(1)), answer);
        } else {
          read(schema(ask.get("read").get(0)), schema(ask.get("read").get(1)), ask.get("bodies"), answer);
        }
      } catch (Exception | StackOverflowError error) {
        answer.put("error", said(error));
      }
      out.println(JSON.writeValueAsString(answer));
      out.flush();
    }
  }

  private static Schema schema(JsonNode text) {
    return new Schema.Parser().parse(text.asText());
  }

  private static String said(Throwable error) {
    return error.getClass().getSimpleName() + ": " + error.getMessage();
  }

  private static void pair(Schema reader, Schema writer, ObjectNode answer) {
    SchemaCompatibility.SchemaCompatibilityResult result =
        SchemaCompatibility.checkReaderWriterCompatibility(reader, writer).getResult();
    answer.put(
        "compatible",
        result.getCompatibility() == SchemaCompatibility.SchemaCompatibilityType.COMPATIBLE);
    ArrayNode reasons = answer.putArray("reasons");
    for (SchemaCompatibility.Incompatibility reason : result.getIncompatibilities()) {
      reasons.add(reason.getType() + " at " + reason.getLocation());
    }
  }

  private static void read(Schema writer, Schema reader, JsonNode bodies, ObjectNode answer) {
    GenericDatumReader<Object> reads = new GenericDatumReader<>(writer, reader);
    ArrayNode values = answer.putArray("values");
    for (JsonNode body : bodies) {
      byte[] bytes = bytes(body.asText());
      BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(bytes, null);
      try {
        StringBuilder said = new StringBuilder();
        say(reads.read(null, decoder), said);
        values.add(decoder.isEnd() ? said.toString() : "error: bytes are left");
      } catch (Exception | StackOverflowError | OutOfMemoryError error) {
        values.add("error: " + said(error));
      }
    }
  }

  private static byte[] bytes(String hex) {
    byte[] bytes = new byte[hex.length() / 2];
    for (int at = 0; at < bytes.length; at++) {
      bytes[at] = (byte) Integer.parseInt(hex.substring(2 * at, 2 * at + 2), 16);
    }
    return bytes;
  }

  private static void say(Object value, StringBuilder out) {
    if (value instanceof Integer || value instanceof Long || value instanceof Boolean || value == null) {
      out.append(value);
    } else if (value instanceof Float number) {
      out.append(number.isNaN() ? "nan" : "f" + Integer.toHexString(Float.floatToRawIntBits(number)));
    } else if (value instanceof Double number) {
      out.append(number.isNaN() ? "nan" : "d" + Long.toHexString(Double.doubleToRawLongBits(number)));
    } else if (value instanceof Utf8 text) {
      hex('s', java.util.Arrays.copyOf(text.getBytes(), text.getByteLength()), out);
    } else if (value instanceof CharSequence || value instanceof GenericEnumSymbol) {
      hex('s', value.toString().getBytes(StandardCharsets.UTF_8), out);
    } else if (value instanceof ByteBuffer buffer) {
      byte[] bytes = new byte[buffer.remaining()];
      buffer.duplicate().get(bytes);
      hex('b', bytes, out);
    } else if (value instanceof GenericFixed fixed) {
      hex('b', fixed.bytes(), out);
    } else if (value instanceof Collection<?> items) {
      out.append('[');
      for (Object item : items) {
        say(item, out);
        out.append(',');
      }
      out.append(']');
    } else if (value instanceof Map<?, ?> entries) {
      TreeMap<String, Object> sorted = new TreeMap<>();
      entries.forEach((key, inner) -> sorted.put(key.toString(), inner));
      entries(sorted, out);
    } else {
      IndexedRecord record = (IndexedRecord) value;
      TreeMap<String, Object> sorted = new TreeMap<>();
      for (Schema.Field field : record.getSchema().getFields()) {
        sorted.put(field.name(), record.get(field.pos()));
      }
      entries(sorted, out);
    }
  }

  private static void entries(TreeMap<String, Object> sorted, StringBuilder out) {
    out.append('{');
    sorted.forEach(
        (key, inner) -> {
          hex('k', key.getBytes(StandardCharsets.UTF_8), out);
          out.append(':');
          say(inner, out);
          out.append(',');
        });
    out.append('}');
  }

  private static void hex(char kind, byte[] bytes, StringBuilder out) {
    out.append(kind);
    for (byte each : bytes) {
      out.append(Character.forDigit(each >> 4 & 15, 16)).append(Character.forDigit(each & 15, 16));
    }
  }
}
