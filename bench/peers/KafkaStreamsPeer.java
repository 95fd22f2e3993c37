import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;

/**
 * Kafka Streams on the work of the benchmarks, exactly once: Avro decode, the threshold rules (W1), and a tumbling count, sum and
 * mean per subject over an hour in a persistent store with its changelog (W2). Told everything by environment variables.
 */
public class KafkaStreamsPeer {
  /** Reads one schema's Avro bodies behind a header of five bytes; a thread's objects are used again for every record. */
  static final class Reader {
    private static final Schema SCHEMA = new Schema.Parser().parse(System.getenv("BENCH_SCHEMA"));
    private final GenericDatumReader<GenericRecord> reader = new GenericDatumReader<>(SCHEMA);
    private BinaryDecoder decoder;
    private GenericRecord record;

    GenericRecord read(byte[] value) {
      try {
        decoder = DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, decoder);
        record = reader.read(record, decoder);
        return record;
      } catch (IOException e) {
        throw new IllegalStateException(e);
      }
    }
  }

  /** Count and sum of a window. */
  record Sum(long count, double sum) {
    static final Serde<Sum> SERDE = Serdes.serdeFrom(
        (topic, s) -> s == null ? null : ByteBuffer.allocate(16).putLong(s.count).putDouble(s.sum).array(),
        (topic, b) -> b == null ? null : new Sum(ByteBuffer.wrap(b).getLong(), ByteBuffer.wrap(b).getDouble(8)));
  }

  static final LongAdder SEEN = new LongAdder();
  static final LongAdder HITS = new LongAdder();
  static final AtomicLong BEGAN = new AtomicLong();
  static final AtomicLong CPU = new AtomicLong();
  static final ThreadLocal<Reader> READER = ThreadLocal.withInitial(Reader::new);
  static final Serde<byte[]> BYTES = Serdes.ByteArray();

  static GenericRecord decode(byte[] value) {
    if (BEGAN.compareAndSet(0, System.nanoTime())) CPU.set(cpuNanos());
    SEEN.increment();
    return READER.get().read(value);
  }

  static List<byte[]> judge(GenericRecord event, double[] limits) {
    List<byte[]> found = new ArrayList<>();
    Object value = event.get("value");
    if (value != null && event.get("sector").toString().equals("food-drug") && event.get("metric").toString().equals("cold_store_temp"))
      for (int i = 0; i < limits.length; i++)
        if ((Double) value > limits[i]) found.add((event.get("event_id") + ":" + i).getBytes());
    if (!found.isEmpty()) HITS.add(found.size());
    return found;
  }

  static KafkaStreams build(String topic, boolean windows, Properties properties) {
    String[] words = System.getenv("BENCH_LIMITS").split(",");
    double[] limits = new double[words.length];
    for (int i = 0; i < words.length; i++) limits[i] = Double.parseDouble(words[i]);
    StreamsBuilder builder = new StreamsBuilder();
    KStream<byte[], GenericRecord> events = builder.stream(topic, Consumed.with(BYTES, BYTES)).mapValues(v -> decode(v));
    events.flatMapValues(event -> judge(event, limits)).to(topic + ".out", Produced.with(BYTES, BYTES));
    if (windows)
      events.groupByKey(Grouped.with(BYTES, null))
          .windowedBy(TimeWindows.ofSizeWithNoGrace(Duration.ofHours(1)))
          .aggregate(() -> new Sum(0, 0), (key, event, s) -> new Sum(s.count + 1, s.sum + (Double) event.get("value")), Materialized.with(BYTES, Sum.SERDE))
          .toStream()
          .filter((key, s) -> s.count >= 20 && s.sum / s.count > 5)
          .map((key, s) -> new KeyValue<>(key.key(), Long.toString(s.count).getBytes()))
          .to(topic + ".out", Produced.with(BYTES, BYTES));
    return new KafkaStreams(builder.build(), properties);
  }

  static Properties properties() {
    Properties p = new Properties();
    p.put("application.id", System.getenv("BENCH_RUN"));
    p.put("bootstrap.servers", System.getenv("BENCH_KAFKA"));
    p.put("num.stream.threads", System.getenv("BENCH_THREADS"));
    p.put("state.dir", System.getenv("BENCH_STATE"));
    p.put("processing.guarantee", "exactly_once_v2");
    p.put("auto.offset.reset", "earliest");
    p.put("max.poll.records", 5000);
    p.put("statestore.cache.max.bytes", 64L << 20);
    p.put("replication.factor", 1);
    return p;
  }

  static long cpuNanos() {
    return ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO).toNanos();
  }

  static double peakMegabytes() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status")))
      if (line.startsWith("VmHWM:")) return Double.parseDouble(line.replaceAll("[^0-9]", "")) / 1024;
    return 0;
  }

  public static void main(String[] args) throws Exception {
    long events = Long.parseLong(System.getenv("BENCH_EVENTS"));
    KafkaStreams streams = build(System.getenv("BENCH_TOPIC"), !System.getenv("BENCH_WORKLOAD").equals("W1"), properties());
    streams.start();
    while (SEEN.sum() < events) Thread.sleep(10);
    double seconds = (System.nanoTime() - BEGAN.get()) / 1e9;
    System.out.printf(Locale.ROOT, "RESULT {\"events\": %d, \"seconds\": %.3f, \"hits\": %d, \"cpu_seconds\": %.2f, \"peak_memory_mb\": %.1f}%n",
        SEEN.sum(), seconds, HITS.sum(), (cpuNanos() - CPU.get()) / 1e9, peakMegabytes());
    Runtime.getRuntime().halt(0);
  }
}
