"""The own tests of the classes, as their author writes them: `python -m unittest namespaces_tests`."""

import unittest

from namespaces import app, socketio


class NamespacesTest(unittest.TestCase):
    def connected(self, namespace, **options):
        client = socketio.test_client(app, namespace=namespace, **options)
        self.addCleanup(lambda: client.is_connected(namespace) and client.disconnect(namespace=namespace))
        return client

    def test_lobby(self):
        client = self.connected("/")
        self.assertEqual(client.get_received()[0]["args"], [{"namespace": "/"}])
        client.emit("my_event", {"data": "x"})
        (event,) = client.get_received()
        self.assertEqual((event["name"], event["args"]), ("my_response", [{"data": "x", "count": 1}]))
        client.emit("say", "hi")
        self.assertEqual(client.get_received(), [{"name": "message", "args": "hi", "namespace": "/"}])
        self.assertEqual(client.emit("my special event", 1, 2, callback=True), [1, 2, "my special event"])

    def test_accounts(self):
        self.assertFalse(self.connected("/accounts").is_connected("/accounts"))
        self.assertFalse(self.connected("/accounts", auth={"token": "forged"}).is_connected("/accounts"))
        client = self.connected("/accounts", auth={"token": "valid"})
        self.assertTrue(client.is_connected("/accounts"))
        ack = client.emit("transfer", 60, callback=True, namespace="/accounts")
        self.assertEqual(ack, {"to": "the bank", "balance": 40})
        ack = client.emit("transfer", 60, callback=True, namespace="/accounts")
        self.assertEqual(ack, {"error": "not enough money", "event": "transfer", "args": [60]})

    def test_log(self):
        client = self.connected("/log")
        ack = client.emit("any thing", 1, callback=True, namespace="/log")
        self.assertEqual(ack, {"event": "any thing", "args": [1]})
        self.assertEqual(client.emit("wrong event", callback=True, namespace="/log"), "/log: LookupError")

    def test_tickets(self):
        client = self.connected("/tickets")
        self.assertEqual(client.emit("ticket", 1, callback=True, namespace="/tickets"), [1])
        self.assertEqual(client.emit("what", 1, callback=True, namespace="/tickets"), ["what", [1], "*"])

    def test_errors(self):
        client = self.connected("/")
        client.get_received()
        self.assertEqual(client.emit("fail", "x", callback=True), "failed")
        self.assertEqual(client.get_received()[0]["args"], ["/ x"])

    def test_two_namespaces_of_one_client(self):
        client = self.connected("/")
        client.connect("/log")
        self.assertTrue(client.is_connected("/log"))
        client.disconnect(namespace="/log")
        self.assertFalse(client.is_connected("/log"))
        self.assertTrue(client.is_connected())

    def test_server_disconnects(self):
        client = self.connected("/")
        client.emit("disconnect_request")
        self.assertFalse(client.is_connected())


if __name__ == "__main__":
    unittest.main()
