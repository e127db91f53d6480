import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.AlreadyClosedException;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.Delivery;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.MessageProperties;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * RabbitMQ's and Kafka's own Java clients against the servers that TRUNKLINE_AMQP and TRUNKLINE_KAFKA name.
 *
 * <p>Prints a line a test and, last, "N passed, N failed, N skipped".
 */
public final class Clients {
  interface Test {
    void run() throws Exception;
  }

  private static int passed, failed, skipped;

  public static void main(String[] arguments) {
    amqp("amqp: confirmed persistent publishes are consumed in order", Clients::confirmedPublishes);
    amqp("amqp: properties and headers come back", Clients::properties);
    amqp("amqp: exchanges of each kind route", Clients::exchanges);
    amqp("amqp: a mandatory message without a route returns", Clients::mandatory);
    amqp("amqp: nack, reject and recover", Clients::rejections);
    amqp("amqp: prefetch bounds what is in flight", Clients::prefetch);
    amqp("amqp: errors carry their reply code", Clients::errors);
    run("amqp: a publisher is told that it is blocked by a full disk, and then that it is not", "TRUNKLINE_SMALL_AMQP", Clients::blocked);
    amqp("amqp: exclusive queues are locked to their connection and go with it", Clients::exclusiveAndAutoDelete);
    kafka("kafka: produce and consume in every compression", Clients::compressions);
    kafka("kafka: an idempotent producer and offsets", Clients::idempotent);
    kafka("kafka: a group commits and resumes", Clients::group);
    kafka("kafka: two members share the partitions", Clients::twoMembers);
    kafka("kafka: groups that the broker assigns share partitions and hand them over", Clients::managedGroup);
    kafka("kafka: a broker-assigned group finds topics by a regular expression", Clients::managedPattern);
    kafka("kafka: a group changes its protocol while it is empty", Clients::protocolChange);
    kafka("kafka: share consumers are members and are assigned", Clients::shareMembership);
    kafka("kafka: admin lists, describes and edits groups of both protocols", Clients::groupAdmin);
    kafka("kafka: consume, transform and produce exactly once", Clients::transactions);
    kafka("kafka: admin describes, grows and deletes", Clients::admin);
    if (System.getenv("TRUNKLINE_AMQP") != null && System.getenv("TRUNKLINE_REDIS") != null) {
      kafka("crossing: a key has one partition, whoever writes it", Clients::keys);
    }
    System.out.printf("%d passed, %d failed, %d skipped%n", passed, failed, skipped);
    System.exit(failed == 0 ? 0 : 1);
  }

  private static void amqp(String name, Test test) {
    run(name, "TRUNKLINE_AMQP", test);
  }

  private static void kafka(String name, Test test) {
    run(name, "TRUNKLINE_KAFKA", test);
  }

  private static void run(String name, String variable, Test test) {
    if (System.getenv(variable) == null) {
      skipped++;
      System.out.println("skipped " + name + ": " + variable + " names no server");
      return;
    }
    try {
      test.run();
      passed++;
      System.out.println("ok      " + name);
    } catch (Throwable error) {
      failed++;
      System.out.println("FAILED  " + name);
      System.out.println("        " + error);
      for (StackTraceElement frame : error.getStackTrace()) {
        if (frame.getClassName().equals("Clients")) System.out.println("        at " + frame);
      }
    }
  }

  private static void equal(Object got, Object wanted) {
    if (!Objects.equals(got, wanted)) throw new AssertionError("got " + got + ", wanted " + wanted);
  }

  private static String unique(String stem) {
    return stem + "-" + UUID.randomUUID().toString().substring(0, 13);
  }

  private static void until(String what, Callable<Boolean> condition) throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!condition.call()) {
      if (System.nanoTime() > end) throw new AssertionError("not within 30 s: " + what);
      Thread.sleep(20);
    }
  }

  // ---- AMQP ----

  private static Connection connect() throws Exception {
    return connect("TRUNKLINE_AMQP");
  }

  private static Connection connect(String variable) throws Exception {
    String[] address = System.getenv(variable).split(":");
    ConnectionFactory factory = new ConnectionFactory();
    factory.setHost(address[0]);
    factory.setPort(Integer.parseInt(address[1]));
    factory.setAutomaticRecoveryEnabled(false);
    return factory.newConnection();
  }

  /** TRUNKLINE_SMALL_DISK is the file system that the gateway of TRUNKLINE_SMALL_AMQP keeps its data on. */
  private static void blocked() throws Exception {
    Path ballast = Path.of(System.getenv("TRUNKLINE_SMALL_DISK"), "ballast");
    try (Connection publisher = connect("TRUNKLINE_SMALL_AMQP"); Connection consumer = connect("TRUNKLINE_SMALL_AMQP")) {
      BlockingQueue<String> notices = new LinkedBlockingQueue<>();
      publisher.addBlockedListener(notices::add, () -> notices.add("unblocked"));
      Channel channel = publisher.createChannel(), taking = consumer.createChannel();
      channel.confirmSelect();
      String queue = queue(channel);
      channel.basicPublish("", queue, MessageProperties.PERSISTENT_BASIC, bytes("before"));
      channel.waitForConfirmsOrDie(20_000);
      Files.write(ballast, new byte[(int) (Files.getFileStore(ballast.getParent()).getUsableSpace() - (4 << 20))]);
      int published = 0;
      while (notices.isEmpty() && published < 1000) {
        channel.basicPublish("", queue, MessageProperties.PERSISTENT_BASIC, bytes("" + published++));
        Thread.sleep(20);
      }
      equal(notices.poll(20, TimeUnit.SECONDS), "low on disk");
      GetResponse got = taking.basicGet(queue, false);
      equal(text(got.getBody()), "before");
      taking.basicAck(got.getEnvelope().getDeliveryTag(), false);
      equal(notices.isEmpty(), true);
      Files.delete(ballast);
      equal(notices.poll(20, TimeUnit.SECONDS), "unblocked");
      channel.waitForConfirmsOrDie(20_000);
      equal(taking.messageCount(queue), (long) published);
    } finally {
      Files.deleteIfExists(ballast);
    }
  }

  private static String queue(Channel channel) throws IOException {
    return channel.queueDeclare(unique("q"), true, false, false, null).getQueue();
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static String text(byte[] body) {
    return new String(body, StandardCharsets.UTF_8);
  }

  private static Delivery next(BlockingQueue<Delivery> deliveries) throws Exception {
    Delivery delivery = deliveries.poll(20, TimeUnit.SECONDS);
    if (delivery == null) throw new AssertionError("no delivery within 20 s");
    return delivery;
  }

  private static BlockingQueue<Delivery> consume(Channel channel, String queue) throws IOException {
    BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
    channel.basicConsume(queue, false, (tag, delivery) -> deliveries.add(delivery), tag -> {});
    return deliveries;
  }

  private static void confirmedPublishes() throws Exception {
    try (Connection connection = connect()) {
      Channel channel = connection.createChannel();
      String queue = queue(channel);
      channel.confirmSelect();
      for (int i = 0; i < 1000; i++) {
        channel.basicPublish("", queue, MessageProperties.MINIMAL_PERSISTENT_BASIC, bytes("" + i));
      }
      channel.waitForConfirmsOrDie(30_000);
      equal(channel.messageCount(queue), 1000L);
      BlockingQueue<Delivery> deliveries = consume(channel, queue);
      for (int i = 0; i < 1000; i++) {
        Delivery delivery = next(deliveries);
        equal(text(delivery.getBody()), "" + i);
        equal(delivery.getEnvelope().isRedeliver(), false);
        channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
      }
      equal(channel.messageCount(queue), 0L);
      equal(channel.consumerCount(queue), 1L);
    }
  }

  private static void properties() throws Exception {
    try (Connection connection = connect()) {
      Channel channel = connection.createChannel();
      String queue = queue(channel);
      AMQP.BasicProperties sent =
          new AMQP.BasicProperties.Builder()
              .contentType("text/plain")
              .deliveryMode(2)
              .priority(3)
              .correlationId("c")
              .replyTo("r")
              .messageId("m")
              .type("t")
              .appId("a")
              .timestamp(new java.util.Date(1_700_000_000_000L))
              .headers(Map.of("s", "x", "n", 5, "l", 1L << 40, "b", true, "d", 1.5, "list", List.of(1, 2)))
              .build();
      channel.basicPublish("", queue, sent, bytes("body"));
      GetResponse[] got = new GetResponse[1];
      until("the message", () -> (got[0] = channel.basicGet(queue, true)) != null);
      AMQP.BasicProperties back = got[0].getProps();
      equal(back.getHeaders().get("s").toString(), "x");
      for (String key : List.of("n", "l", "b", "d", "list")) equal(back.getHeaders().get(key), sent.getHeaders().get(key));
      equal(back.builder().headers(null).build(), sent.builder().headers(null).build());
    }
  }

  private static void exchanges() throws Exception {
    try (Connection connection = connect()) {
      Channel channel = connection.createChannel();
      String[][] cases = {{"direct", "k", "k"}, {"fanout", "", "any"}, {"topic", "*.b.#", "a.b.c.d"}};
      for (String[] each : cases) {
        String exchange = unique(each[0]);
        String queue = queue(channel);
        channel.exchangeDeclare(exchange, each[0], false, true, null);
        channel.queueBind(queue, exchange, each[1]);
        channel.basicPublish(exchange, each[2], null, bytes(each[0]));
        until(each[0], () -> channel.messageCount(queue) == 1);
        GetResponse got = channel.basicGet(queue, true);
        equal(got.getEnvelope().getExchange(), exchange);
        equal(got.getEnvelope().getRoutingKey(), each[2]);
        channel.queueUnbind(queue, exchange, each[1]);
      }
    }
  }

  private static void mandatory() throws Exception {
    try (Connection connection = connect()) {
      Channel channel = connection.createChannel();
      BlockingQueue<Integer> codes = new LinkedBlockingQueue<>();
      channel.addReturnListener(returned -> codes.add(returned.getReplyCode()));
      channel.basicPublish("", unique("nowhere"), true, null, bytes("x"));
      equal(codes.poll(10, TimeUnit.SECONDS), AMQP.NO_ROUTE);
    }
  }

  private static void rejections() throws Exception {
    try (Connection connection = connect()) {
      Channel channel = connection.createChannel();
      String queue = queue(channel);
      for (int i = 1; i <= 4; i++) channel.basicPublish("", queue, null, bytes("" + i));
      BlockingQueue<Delivery> deliveries = consume(channel, queue);
      long[] tags = new long[4];
      for (int i = 0; i < 4; i++) tags[i] = next(deliveries).getEnvelope().getDeliveryTag();
      channel.basicNack(tags[1], true, true);
      for (String body : List.of("1", "2")) {
        Delivery again = next(deliveries);
        equal(text(again.getBody()), body);
        equal(again.getEnvelope().isRedeliver(), true);
        channel.basicAck(again.getEnvelope().getDeliveryTag(), false);
      }
      channel.basicReject(tags[2], false);
      channel.basicRecover(true);
      Delivery last = next(deliveries);
      equal(text(last.getBody()), "4");
      equal(last.getEnvelope().isRedeliver(), true);
      channel.basicAck(last.getEnvelope().getDeliveryTag(), false);
      equal(channel.messageCount(queue), 0L);
    }
  }

  private static void prefetch() throws Exception {
    try (Connection connection = connect()) {
      Channel channel = connection.createChannel();
      String queue = queue(channel);
      channel.basicQos(5);
      for (int i = 0; i < 20; i++) channel.basicPublish("", queue, null, bytes("" + i));
      BlockingQueue<Delivery> deliveries = consume(channel, queue);
      until("five in flight", () -> deliveries.size() == 5 && channel.messageCount(queue) == 15);
      for (int i = 0; i < 20; i++) channel.basicAck(next(deliveries).getEnvelope().getDeliveryTag(), false);
    }
  }

  private static void errors() throws Exception {
    try (Connection connection = connect()) {
      String queue = queue(connection.createChannel());
      equal(code(connection, c -> c.queueDeclarePassive(unique("none"))), 404);
      equal(code(connection, c -> c.queueDeclare(queue, false, false, false, null)), 406);
      equal(code(connection, c -> c.exchangeDeclare("amq.topic", "direct")), 406);
      equal(code(connection, c -> c.exchangeDelete("amq.fanout")), 403);
      equal(code(connection, c -> { c.basicAck(99, false); c.messageCount(queue); }), 406);
      equal(connection.isOpen(), true);
    }
  }

  interface Act {
    void on(Channel channel) throws IOException;
  }

  private static int code(Connection connection, Act act) throws Exception {
    Channel channel = connection.createChannel();
    try {
      act.on(channel);
    } catch (IOException | AlreadyClosedException error) {
      Throwable cause = error instanceof IOException ? error.getCause() : error;
      return ((AMQP.Channel.Close) ((ShutdownSignalException) cause).getReason()).getReplyCode();
    }
    throw new AssertionError("no error");
  }

  private static void exclusiveAndAutoDelete() throws Exception {
    String name = unique("q");
    try (Connection owner = connect()) {
      owner.createChannel().queueDeclare(name, false, true, true, null);
      try (Connection other = connect()) {
        equal(code(other, c -> c.queueDeclarePassive(name)), 405);
      }
    }
    try (Connection other = connect()) {
      until("the exclusive queue is gone", () -> {
        try {
          return code(other, c -> c.queueDeclarePassive(name)) == 404;
        } catch (AssertionError stillThere) {
          return false;
        }
      });
    }
  }

  // ---- Kafka ----

  private static Properties settings(Object... pairs) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", System.getenv("TRUNKLINE_KAFKA"));
    settings.put("key.serializer", StringSerializer.class.getName());
    settings.put("value.serializer", StringSerializer.class.getName());
    settings.put("key.deserializer", StringDeserializer.class.getName());
    settings.put("value.deserializer", StringDeserializer.class.getName());
    settings.put("auto.offset.reset", "earliest");
    settings.put("enable.auto.commit", "false");
    settings.put("heartbeat.interval.ms", "500");
    for (int i = 0; i < pairs.length; i += 2) settings.put(pairs[i], pairs[i + 1]);
    return settings;
  }

  private static String topic(int partitions) throws Exception {
    String topic = unique("topic");
    try (Admin admin = Admin.create(settings())) {
      admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get(20, TimeUnit.SECONDS);
      until("the topic is described", () -> {
        try {
          return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size() == partitions;
        } catch (java.util.concurrent.ExecutionException notYet) {
          return false;
        }
      });
    }
    return topic;
  }

  private static List<ConsumerRecord<String, String>> read(KafkaConsumer<String, String> consumer, int count) throws Exception {
    List<ConsumerRecord<String, String>> got = new ArrayList<>();
    until(count + " records", () -> {
      consumer.poll(Duration.ofMillis(100)).forEach(got::add);
      return got.size() >= count;
    });
    return got;
  }

  private static void compressions() throws Exception {
    for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
      String topic = topic(1);
      try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings("compression.type", codec, "linger.ms", "10"))) {
        for (int i = 0; i < 200; i++) {
          ProducerRecord<String, String> record = new ProducerRecord<>(topic, "k", "value-" + i);
          record.headers().add("h", bytes("" + i));
          producer.send(record);
        }
      }
      try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings())) {
        consumer.assign(List.of(new TopicPartition(topic, 0)));
        consumer.seekToBeginning(consumer.assignment());
        List<ConsumerRecord<String, String>> got = read(consumer, 200);
        for (int i = 0; i < 200; i++) {
          equal(got.get(i).value(), "value-" + i);
          equal(got.get(i).offset(), (long) i);
          equal(text(got.get(i).headers().lastHeader("h").value()), "" + i);
        }
      }
    }
  }

  private static void idempotent() throws Exception {
    String topic = topic(1);
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings("enable.idempotence", "true", "acks", "all"))) {
      for (int i = 0; i < 50; i++) {
        RecordMetadata placed = producer.send(new ProducerRecord<>(topic, 0, 1_700_000_000_000L + i * 1000, "k", "v")).get(20, TimeUnit.SECONDS);
        equal(placed.offset(), (long) i);
      }
    }
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings())) {
      TopicPartition partition = new TopicPartition(topic, 0);
      equal(consumer.beginningOffsets(Set.of(partition)), Map.of(partition, 0L));
      equal(consumer.endOffsets(Set.of(partition)), Map.of(partition, 50L));
      equal(consumer.offsetsForTimes(Map.of(partition, 1_700_000_010_500L)).get(partition).offset(), 11L);
    }
  }

  private static void group() throws Exception {
    String topic = topic(2);
    String group = unique("group");
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings())) {
      for (int i = 0; i < 10; i++) producer.send(new ProducerRecord<>(topic, i % 2, "k", "" + i));
      producer.flush();
      try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings("group.id", group))) {
        consumer.subscribe(List.of(topic));
        equal(read(consumer, 10).size(), 10);
        consumer.commitSync();
        TopicPartition partition = new TopicPartition(topic, 1);
        consumer.commitSync(Map.of(partition, new OffsetAndMetadata(4, "note")));
        equal(consumer.committed(Set.of(partition)).get(partition), new OffsetAndMetadata(4, java.util.Optional.empty(), "note"));
      }
      try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings("group.id", group))) {
        consumer.subscribe(List.of(topic));
        equal(read(consumer, 1).get(0).value(), "9");
      }
    }
  }

  /** For groups whose members' heartbeats the broker paces. */
  private static KafkaConsumer<String, String> managed(String group, Object... pairs) {
    Properties settings = settings(pairs);
    settings.remove("heartbeat.interval.ms");
    settings.put("group.id", group);
    settings.put("group.protocol", "consumer");
    return new KafkaConsumer<>(settings);
  }

  private static void managedGroup() throws Exception {
    String topic = topic(6);
    String group = unique("group");
    List<ConsumerRecord<String, String>> got = new ArrayList<>();
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings());
        KafkaConsumer<String, String> first = managed(group, "group.remote.assignor", "range")) {
      first.subscribe(List.of(topic));
      until("all partitions", () -> {
        first.poll(Duration.ofMillis(50)).forEach(got::add);
        return first.assignment().size() == 6;
      });
      try (KafkaConsumer<String, String> second = managed(group, "group.instance.id", "second")) {
        second.subscribe(List.of(topic));
        for (int i = 0; i < 60; i++) producer.send(new ProducerRecord<>(topic, i % 6, "k", "" + i));
        producer.flush();
        until("three partitions each and all records", () -> {
          first.poll(Duration.ofMillis(50)).forEach(got::add);
          first.commitSync();
          second.poll(Duration.ofMillis(50)).forEach(got::add);
          second.commitSync();
          return first.assignment().size() == 3 && second.assignment().size() == 3 && got.size() >= 60;
        });
        Set<TopicPartition> both = new java.util.HashSet<>(first.assignment());
        both.retainAll(second.assignment());
        equal(both, Set.of());
        equal(got.stream().map(ConsumerRecord::value).distinct().count(), 60L);
        equal(got.size(), 60);
        try (Admin admin = Admin.create(settings())) {
          var described = admin.describeConsumerGroups(List.of(group)).all().get(20, TimeUnit.SECONDS).get(group);
          equal(described.type(), org.apache.kafka.common.GroupType.CONSUMER);
          equal(described.members().size(), 2);
          equal(described.partitionAssignor(), "range");
          equal(described.members().stream().mapToInt(m -> m.assignment().topicPartitions().size()).sum(), 6);
        }
      }
    }
  }

  private static void managedPattern() throws Exception {
    String stem = unique("pattern");
    try (Admin admin = Admin.create(settings());
        KafkaConsumer<String, String> consumer = managed(unique("group"))) {
      admin.createTopics(List.of(new NewTopic(stem + "-a", 2, (short) 1))).all().get(20, TimeUnit.SECONDS);
      consumer.subscribe(new org.apache.kafka.clients.consumer.SubscriptionPattern(stem + "-.*"));
      until("the first topic", () -> {
        consumer.poll(Duration.ofMillis(50));
        return consumer.assignment().size() == 2;
      });
      admin.createTopics(List.of(new NewTopic(stem + "-b", 1, (short) 1))).all().get(20, TimeUnit.SECONDS);
      until("the second topic", () -> {
        consumer.poll(Duration.ofMillis(50));
        return consumer.assignment().size() == 3;
      });
    }
    try (KafkaConsumer<String, String> consumer = managed(unique("group"))) {
      consumer.subscribe(new org.apache.kafka.clients.consumer.SubscriptionPattern("(" ));
      String error = null;
      try {
        until("the pattern is refused", () -> {
          consumer.poll(Duration.ofMillis(50));
          return false;
        });
      } catch (org.apache.kafka.common.errors.InvalidRegularExpression refused) {
        error = "refused";
      }
      equal(error, "refused");
    }
  }

  private static void protocolChange() throws Exception {
    String topic = topic(1);
    String group = unique("group");
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings())) {
      for (int i = 0; i < 6; i++) producer.send(new ProducerRecord<>(topic, "k", "" + i));
    }
    for (int from = 0; from < 6; from += 2) {
      try (KafkaConsumer<String, String> consumer =
          from == 2 ? managed(group) : new KafkaConsumer<String, String>(settings("group.id", group))) {
        consumer.subscribe(List.of(topic));
        equal(read(consumer, 6 - from).get(0).value(), "" + from);
        consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(from + 2)));
      }
    }
  }

  /** Membership only: without ShareFetch the client joins, is assigned, and then does not come to its next heartbeat. */
  private static void shareMembership() throws Exception {
    String topic = topic(4);
    String group = unique("share");
    Properties settings = settings("group.id", group);
    for (String key : List.of("auto.offset.reset", "enable.auto.commit", "heartbeat.interval.ms")) settings.remove(key);
    try (Admin admin = Admin.create(settings());
        var one = new org.apache.kafka.clients.consumer.KafkaShareConsumer<String, String>(settings);
        var two = new org.apache.kafka.clients.consumer.KafkaShareConsumer<String, String>(settings)) {
      one.subscribe(List.of(topic));
      two.subscribe(List.of(topic));
      until("two members with partitions", () -> {
        for (var consumer : List.of(one, two)) {
          try {
            consumer.poll(Duration.ofMillis(50));
          } catch (org.apache.kafka.common.errors.UnsupportedVersionException noRecords) {
            // ShareFetch is not offered.
          }
        }
        try {
          var described = admin.describeShareGroups(List.of(group)).all().get(20, TimeUnit.SECONDS).get(group);
          return described.members().size() == 2 && described.members().stream().allMatch(m -> m.assignment().topicPartitions().size() >= 2);
        } catch (java.util.concurrent.ExecutionException notYet) {
          return false;
        }
      });
      var types = Set.of(org.apache.kafka.common.GroupType.SHARE);
      var listed = admin.listGroups(new org.apache.kafka.clients.admin.ListGroupsOptions().withTypes(types)).all().get(20, TimeUnit.SECONDS);
      equal(listed.stream().anyMatch(g -> g.groupId().equals(group)), true);
    }
  }

  private static void groupAdmin() throws Exception {
    String topic = topic(2);
    String classic = unique("classic");
    String managed = unique("managed");
    try (Admin admin = Admin.create(settings())) {
      try (KafkaConsumer<String, String> one = new KafkaConsumer<>(settings("group.id", classic));
          KafkaConsumer<String, String> two = managed(managed)) {
        for (KafkaConsumer<String, String> consumer : List.of(one, two)) {
          consumer.subscribe(List.of(topic));
          until("all partitions", () -> {
            consumer.poll(Duration.ofMillis(50));
            return consumer.assignment().size() == 2;
          });
          consumer.commitSync(Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(0), new TopicPartition(topic, 1), new OffsetAndMetadata(0)));
        }
        var types = Set.of(org.apache.kafka.common.GroupType.CONSUMER);
        var listed = admin.listGroups(new org.apache.kafka.clients.admin.ListGroupsOptions().withTypes(types)).all().get(20, TimeUnit.SECONDS);
        equal(listed.stream().anyMatch(g -> g.groupId().equals(managed)), true);
        equal(listed.stream().anyMatch(g -> g.groupId().equals(classic)), false);
        var states = Set.of(org.apache.kafka.common.GroupState.STABLE);
        var stable = admin.listGroups(new org.apache.kafka.clients.admin.ListGroupsOptions().inGroupStates(states)).all().get(20, TimeUnit.SECONDS);
        equal(stable.stream().filter(g -> g.groupId().equals(managed) || g.groupId().equals(classic)).count(), 2L);
      }
      for (String group : List.of(classic, managed)) {
        admin.alterConsumerGroupOffsets(group, Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(7))).all().get(20, TimeUnit.SECONDS);
        admin.deleteConsumerGroupOffsets(group, Set.of(new TopicPartition(topic, 1))).all().get(20, TimeUnit.SECONDS);
        var offsets = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(20, TimeUnit.SECONDS);
        equal(offsets.get(new TopicPartition(topic, 0)).offset(), 7L);
        equal(offsets.get(new TopicPartition(topic, 1)), null);
        admin.deleteConsumerGroups(List.of(group)).all().get(20, TimeUnit.SECONDS);
      }
      equal(admin.listGroups().all().get(20, TimeUnit.SECONDS).stream().anyMatch(g -> g.groupId().equals(managed)), false);
    }
  }

  private static void twoMembers() throws Exception {
    String topic = topic(4);
    String group = unique("group");
    try (KafkaConsumer<String, String> first = new KafkaConsumer<>(settings("group.id", group));
        KafkaConsumer<String, String> second = new KafkaConsumer<>(settings("group.id", group))) {
      first.subscribe(List.of(topic));
      second.subscribe(List.of(topic));
      until("two partitions each", () -> {
        first.poll(Duration.ofMillis(50));
        second.poll(Duration.ofMillis(50));
        return first.assignment().size() == 2 && second.assignment().size() == 2;
      });
      try (Admin admin = Admin.create(settings())) {
        var described = admin.describeConsumerGroups(List.of(group)).all().get(20, TimeUnit.SECONDS).get(group);
        equal(described.members().size(), 2);
        equal(admin.listConsumerGroups().all().get(20, TimeUnit.SECONDS).stream().anyMatch(g -> g.groupId().equals(group)), true);
      }
    }
  }

  /** Takes from one topic and writes to another, offsets in the same transaction; the first attempt is aborted. */
  private static void transactions() throws Exception {
    String from = topic(1);
    String to = topic(1);
    String id = unique("id");
    String group = unique("group");
    try (KafkaProducer<String, String> plain = new KafkaProducer<>(settings())) {
      for (int i = 0; i < 4; i++) plain.send(new ProducerRecord<>(from, 0, "k", "" + i));
    }
    try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings("transactional.id", id))) {
      producer.initTransactions();
      for (boolean commits : List.of(false, true)) {
        try (KafkaConsumer<String, String> consumer =
            new KafkaConsumer<>(settings("group.id", group, "isolation.level", "read_committed", "enable.auto.commit", "false"))) {
          consumer.subscribe(List.of(from));
          List<ConsumerRecord<String, String>> taken = read(consumer, 4);
          equal(taken.get(0).value(), "0");
          producer.beginTransaction();
          for (ConsumerRecord<String, String> one : taken) {
            producer.send(new ProducerRecord<>(to, 0, one.key(), one.value() + (commits ? "!" : "?")));
          }
          producer.sendOffsetsToTransaction(
              Map.of(new TopicPartition(from, 0), new OffsetAndMetadata(4)), consumer.groupMetadata());
          producer.flush();
          ongoing(id, to);
          if (commits) {
            producer.commitTransaction();
          } else {
            producer.abortTransaction();
          }
        }
      }
    }
    TopicPartition target = new TopicPartition(to, 0);
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings("isolation.level", "read_committed", "group.id", group))) {
      equal(consumer.committed(Set.of(new TopicPartition(from, 0))).get(new TopicPartition(from, 0)).offset(), 4L);
      // Four records and a marker, twice.
      equal(consumer.endOffsets(Set.of(target)), Map.of(target, 10L));
      consumer.assign(List.of(target));
      consumer.seekToBeginning(consumer.assignment());
      equal(read(consumer, 4).stream().map(ConsumerRecord::value).toList(), List.of("0!", "1!", "2!", "3!"));
    }
  }

  /** What an operator sees of an open transaction. */
  private static void ongoing(String id, String topic) throws Exception {
    TopicPartition partition = new TopicPartition(topic, 0);
    try (Admin admin = Admin.create(settings())) {
      var described = admin.describeTransactions(List.of(id)).description(id).get(20, TimeUnit.SECONDS);
      equal(described.state().toString(), "Ongoing");
      equal(described.topicPartitions(), Set.of(partition));
      equal(admin.listTransactions().all().get(20, TimeUnit.SECONDS).stream().anyMatch(t -> t.transactionalId().equals(id)), true);
      var producers = admin.describeProducers(List.of(partition)).partitionResult(partition).get(20, TimeUnit.SECONDS).activeProducers();
      equal(producers.stream().anyMatch(p -> p.producerId() == described.producerId() && p.currentTransactionStartOffset().isPresent()), true);
    }
  }

  private static void admin() throws Exception {
    String topic = topic(2);
    try (Admin admin = Admin.create(settings())) {
      equal(admin.describeCluster().nodes().get(20, TimeUnit.SECONDS).size(), 1);
      equal(admin.listTopics().names().get(20, TimeUnit.SECONDS).contains(topic), true);
      admin.createPartitions(Map.of(topic, org.apache.kafka.clients.admin.NewPartitions.increaseTo(3))).all().get(20, TimeUnit.SECONDS);
      var resource = new org.apache.kafka.common.config.ConfigResource(org.apache.kafka.common.config.ConfigResource.Type.TOPIC, topic);
      equal(admin.describeConfigs(List.of(resource)).all().get(20, TimeUnit.SECONDS).get(resource).get("cleanup.policy") != null, true);
      admin.deleteTopics(List.of(topic)).all().get(20, TimeUnit.SECONDS);
      until("the topic is gone", () -> !admin.listTopics().names().get(20, TimeUnit.SECONDS).contains(topic));
    }
  }

  // ---- Both ----

  /**
   * Kafka's own partitioner and the gateway's must agree on every key, and a key's records are read in the order of their writes: by a
   * group, and by the consumer of a queue that AMQP declared with several partitions.
   */
  private static void keys() throws Exception {
    List<String> keys = new ArrayList<>();
    for (int i = 0; i < 50; i++) keys.add("k" + "x".repeat(i % 9) + i);
    List<String> wanted = List.of("1 kafka", "1 amqp", "1 redis", "2 kafka", "2 amqp", "2 redis");
    String[] redis = System.getenv("TRUNKLINE_REDIS").split(":");
    try (Connection connection = connect();
        Channel channel = connection.createChannel();
        java.net.Socket socket = new java.net.Socket(redis[0], Integer.parseInt(redis[1]));
        KafkaProducer<String, String> producer = new KafkaProducer<>(settings())) {
      String topic = channel.queueDeclare(unique("keyed"), true, false, false, Map.of("x-partitions", 7)).getQueue();
      channel.confirmSelect();
      for (String round : List.of("1", "2")) {
        for (String key : keys) {
          producer.send(new ProducerRecord<>(topic, key, round + " kafka")).get(20, TimeUnit.SECONDS);
          var properties = new AMQP.BasicProperties.Builder().headers(Map.of("x-record-key", key)).build();
          channel.basicPublish("", topic, properties, bytes(round + " amqp"));
          channel.waitForConfirmsOrDie(20_000);
          pushWithKey(socket, topic, key, round + " redis");
        }
      }
      try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings("group.id", unique("group")))) {
        consumer.subscribe(List.of(topic));
        List<ConsumerRecord<String, String>> got = read(consumer, wanted.size() * keys.size());
        equal(got.stream().map(ConsumerRecord::partition).distinct().count(), 7L);
        for (String key : keys) {
          List<ConsumerRecord<String, String>> of = got.stream().filter(record -> key.equals(record.key())).toList();
          equal(of.stream().map(ConsumerRecord::partition).distinct().count(), 1L);
          equal(of.stream().map(ConsumerRecord::value).toList(), wanted);
        }
      }
      Map<String, List<String>> taken = new java.util.HashMap<>();
      BlockingQueue<Delivery> deliveries = consume(channel, topic);
      for (int i = 0; i < wanted.size() * keys.size(); i++) {
        Delivery delivery = next(deliveries);
        String key = delivery.getProperties().getHeaders().get("x-record-key").toString();
        taken.computeIfAbsent(key, k -> new ArrayList<>()).add(text(delivery.getBody()));
        channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
      }
      for (String key : keys) equal(taken.get(key), wanted);
    }
  }

  /** Redis has no command that gives an element a key, so no client has a method for ours. */
  private static void pushWithKey(java.net.Socket socket, String list, String key, String element) throws IOException {
    StringBuilder command = new StringBuilder("*4\r\n");
    for (String argument : List.of("TRUNKLINE.RPUSH", list, key, element)) {
      command.append('$').append(argument.length()).append("\r\n").append(argument).append("\r\n");
    }
    socket.getOutputStream().write(bytes(command.toString()));
    StringBuilder answer = new StringBuilder();
    while (answer.indexOf("\n") < 0) answer.append((char) socket.getInputStream().read());
    if (answer.charAt(0) != ':') throw new AssertionError("answered " + answer);
  }
}
