package clients

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func amqpConnect(t *testing.T) *amqp.Connection {
	t.Helper()
	connection := must(amqp.Dial("amqp://guest:guest@" + address(t, "TRUNKLINE_AMQP") + "/"))(t)
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func amqpQueue(t *testing.T, channel *amqp.Channel) string {
	t.Helper()
	return must(channel.QueueDeclare(unique("q"), true, false, false, false, nil))(t).Name
}

func receive(t *testing.T, deliveries <-chan amqp.Delivery) amqp.Delivery {
	t.Helper()
	select {
	case delivery, ok := <-deliveries:
		if !ok {
			t.Fatal("the consumer was closed")
		}
		return delivery
	case <-time.After(20 * time.Second):
		t.Fatal("no delivery within 20 s")
	}
	return amqp.Delivery{}
}

func TestAMQPConfirmedPublishesAreConsumedInOrder(t *testing.T) {
	channel := must(amqpConnect(t).Channel())(t)
	queue := amqpQueue(t, channel)
	equal(t, channel.Confirm(false), nil)
	var pending []*amqp.DeferredConfirmation
	for i := range 1000 {
		pending = append(pending, must(channel.PublishWithDeferredConfirm("", queue, true, false, amqp.Publishing{
			DeliveryMode: amqp.Persistent, Body: []byte(fmt.Sprint(i)), Headers: amqp.Table{"n": int32(i)},
		}))(t))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, confirmation := range pending {
		equal(t, must(confirmation.WaitContext(ctx))(t), true)
	}
	equal(t, channel.Qos(50, 0, false), nil)
	deliveries := must(channel.Consume(queue, "", false, false, false, false, nil))(t)
	for i := range 1000 {
		delivery := receive(t, deliveries)
		equal(t, string(delivery.Body), fmt.Sprint(i))
		equal(t, delivery.Headers["n"].(int32), int32(i))
		equal(t, delivery.Ack(false), nil)
	}
	equal(t, must(channel.QueueDeclarePassive(queue, true, false, false, false, nil))(t).Messages, 0)
}

func TestAMQPExchangesRoute(t *testing.T) {
	channel := must(amqpConnect(t).Channel())(t)
	for _, c := range []struct{ kind, binding, key string }{{"direct", "k", "k"}, {"fanout", "", "x"}, {"topic", "a.#", "a.b.c"}} {
		exchange, queue := unique(c.kind), amqpQueue(t, channel)
		equal(t, channel.ExchangeDeclare(exchange, c.kind, false, false, false, false, nil), nil)
		equal(t, channel.QueueBind(queue, c.binding, exchange, false, nil), nil)
		equal(t, channel.Publish(exchange, c.key, false, false, amqp.Publishing{Body: []byte(c.kind)}), nil)
		deliveries := must(channel.Consume(queue, "", true, false, false, false, nil))(t)
		delivery := receive(t, deliveries)
		equal(t, string(delivery.Body), c.kind)
		equal(t, delivery.RoutingKey, c.key)
		equal(t, channel.ExchangeDelete(exchange, false, false), nil)
	}
}

func TestAMQPRejectedAndAbandonedMessagesComeAgain(t *testing.T) {
	connection := amqpConnect(t)
	channel := must(connection.Channel())(t)
	queue := amqpQueue(t, channel)
	for _, body := range []string{"1", "2", "3"} {
		equal(t, channel.Publish("", queue, false, false, amqp.Publishing{Body: []byte(body)}), nil)
	}
	worker := must(connection.Channel())(t)
	deliveries := must(worker.Consume(queue, "", false, false, false, false, nil))(t)
	first, second, third := receive(t, deliveries), receive(t, deliveries), receive(t, deliveries)
	equal(t, second.Ack(false), nil)
	equal(t, first.Nack(false, true), nil)
	again := receive(t, deliveries)
	equal(t, string(again.Body), "1")
	equal(t, again.Redelivered, true)
	equal(t, again.Reject(false), nil)
	_ = third
	equal(t, worker.Close(), nil)
	last, ok, err := channel.Get(queue, true)
	equal(t, err, nil)
	equal(t, ok, true)
	equal(t, string(last.Body), "3")
	equal(t, last.Redelivered, true)
}

func TestAMQPMandatoryReturn(t *testing.T) {
	channel := must(amqpConnect(t).Channel())(t)
	returns := channel.NotifyReturn(make(chan amqp.Return, 1))
	equal(t, channel.Publish("", unique("nowhere"), true, false, amqp.Publishing{Body: []byte("back")}), nil)
	select {
	case returned := <-returns:
		equal(t, returned.ReplyCode, 312)
		equal(t, string(returned.Body), "back")
	case <-time.After(10 * time.Second):
		t.Fatal("no return")
	}
}

func TestAMQPErrorsCarryTheirCode(t *testing.T) {
	connection := amqpConnect(t)
	queue := amqpQueue(t, must(connection.Channel())(t))
	for code, act := range map[int]func(*amqp.Channel) error{
		404: func(c *amqp.Channel) error {
			return second(c.QueueDeclarePassive(unique("none"), false, false, false, false, nil))
		},
		406: func(c *amqp.Channel) error { return second(c.QueueDeclare(queue, false, false, false, false, nil)) },
		403: func(c *amqp.Channel) error {
			return second(c.QueueDeclare("amq.mine", false, false, false, false, nil))
		},
	} {
		var refused *amqp.Error
		if err := act(must(connection.Channel())(t)); !errors.As(err, &refused) || refused.Code != code {
			t.Fatalf("want %d, got %v", code, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestAMQPCancelNotification(t *testing.T) {
	connection := amqpConnect(t)
	channel, other := must(connection.Channel())(t), must(connection.Channel())(t)
	queue := amqpQueue(t, channel)
	cancelled := channel.NotifyCancel(make(chan string, 1))
	must(channel.Consume(queue, "watcher", false, false, false, false, nil))(t)
	must(other.QueueDelete(queue, false, false, false))(t)
	select {
	case tag := <-cancelled:
		equal(t, tag, "watcher")
	case <-time.After(10 * time.Second):
		t.Fatal("no cancel")
	}
}
