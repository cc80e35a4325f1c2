"""The chat's own tests, as its author writes them: `python -m unittest chat_tests`."""

import unittest

from chat import app, socketio


class ChatTest(unittest.TestCase):
    def visitor(self, name=None, **options):
        pages = app.test_client()
        if name:
            pages.post("/login", data={"name": name})
        client = socketio.test_client(app, flask_test_client=pages, **options)
        self.addCleanup(lambda: client.is_connected() and client.disconnect())
        return client

    def heard(self, client, name):
        return [each["args"] for each in client.get_received() if each["name"] == name]

    def test_connect(self):
        client = self.visitor("Ada")
        self.assertTrue(client.is_connected())
        received = client.get_received()
        self.assertEqual(received[0]["name"], "my_response")
        self.assertEqual(received[0]["args"][0], {"data": "Connected", "name": "Ada", "count": 10})
        self.assertEqual(received[0]["namespace"], "/")

    def test_banned(self):
        self.assertFalse(self.visitor(query_string="?name=banned").is_connected())

    def test_count(self):
        client = self.visitor()
        client.get_received()
        for count in (1, 2, 3):
            client.emit("my_event", {"data": "a"})
            self.assertEqual(self.heard(client, "my_response"), [[{"data": "a", "count": count}]])

    def test_rooms(self):
        ada, bob = self.visitor("Ada"), self.visitor("Bob")
        self.assertEqual(ada.emit("join", {"room": "one"}, callback=True), ["one"])
        self.assertEqual(ada.emit("join", {"room": "two"}, callback=True), ["one", "two"])
        self.assertEqual(bob.emit("join", {"room": "two"}, callback=True), ["two"])
        self.assertEqual(self.heard(ada, "status"), [["Bob has come in"]])
        self.assertEqual(bob.emit("my_room_event", {"room": "one", "data": "x"}, callback=True), ["delivered", 11])
        self.assertEqual(self.heard(ada, "room_message"), [[{"from": "Bob", "data": "x"}]])
        self.assertEqual(self.heard(bob, "room_message"), [])
        ada.emit("close_room", {"room": "two"})
        bob.emit("my_room_event", {"room": "two", "data": "x"})
        self.assertEqual(self.heard(ada, "room_message"), [])

    def test_guests_may_not_join(self):
        client = self.visitor()
        client.emit("join", {"room": "one"})
        self.assertFalse(client.is_connected())
        with self.assertRaises(RuntimeError):
            client.emit("join", {"room": "one"})

    def test_send(self):
        one, two = self.visitor(), self.visitor()
        one.send("hi")
        self.assertEqual(self.heard(two, "message"), ["hi!"])
        two.send({"a": 1}, json=True)
        self.assertEqual(self.heard(two, "json"), [{"heard": {"a": 1}}])
        self.assertEqual(self.heard(one, "json"), [])

    def test_pages_tell_clients(self):
        client = self.visitor()
        app.test_client().post("/announce", data={"text": "lunch"})
        names = [each["name"] for each in client.get_received()]
        self.assertEqual(names, ["my_response", "announcement", "announced"])

    def test_leaving(self):
        stays, leaves = self.visitor(), self.visitor("Bob")
        leaves.disconnect()
        self.assertFalse(leaves.is_connected())
        self.assertEqual([each[0]["name"] for each in self.heard(stays, "gone")], ["Bob"])


if __name__ == "__main__":
    unittest.main()
