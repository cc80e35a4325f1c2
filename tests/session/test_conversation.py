"""The Socket.IO talk on one session: every row of the module's table, in both revisions, and the golden packets."""

import json

import pytest

from truesocket.codec.msgpacks import Msgpack
from truesocket.codec.socketio import PacketType
from truesocket.errors import PacketError, Refused
from truesocket.session.conversation import Conversation


class Member:
    def __init__(self, namespace, query, auth):
        self.namespace, self.query, self.auth = namespace, query, auth
        self.heard = []

    def received_event(self, name, args, id, size):
        self.heard.append(("event", name, args, id, size))

    def received_ack(self, id, args):
        self.heard.append(("ack", id, args))

    def left(self):
        self.heard.append(("left",))


class Listener:
    def __init__(self):
        self.members = []
        self.sent = []
        self.parcels = []

    def connect(self, namespace, query, auth):
        if namespace == "/nope":
            return None
        self.members.append(Member(namespace, query, auth))
        return self.members[-1]

    def send(self, parcel):
        self.sent.append(parcel.text)
        self.parcels.append(parcel)


def talk(revision, *texts):
    listener = Listener()
    conversation = Conversation(revision, listener)
    conversation.start()
    for text in texts:
        conversation.receive(text)
    return conversation, listener


def joined(revision=4):
    """A client that has joined ``/``, and what it says is heard by the member that is returned."""
    conversation, listener = talk(revision, *(["0"] if revision == 4 else []))
    return conversation, listener, listener.members[0]


revisions = pytest.mark.parametrize("revision", [3, 4])


def test_who_is_metered_is_heard_as_far_as_the_listener_lets_it():
    conversation, listener, member = joined()
    asked = []
    listener.passes = lambda size, is_event: asked.append((size, is_event)) or is_patient
    conversation.is_metered = True
    is_patient = False
    conversation.receive('2["say",1]')
    conversation.receive("32[1]")
    conversation.receive('51-["say",{"_placeholder":true,"num":0}]')
    conversation.receive(b"attached")
    conversation.receive("0/b,")
    assert member.heard == []
    assert asked == [(10, True), (5, False), (48, True), (4, True)]
    assert listener.sent[-1] == '4/b,{"message":"Too many packets"}'
    conversation.receive("1")
    assert member.heard == [("left",)]


def test_a_listener_may_refuse_in_its_own_words():
    conversation, listener, _ = joined()

    def connect(namespace, query, auth):
        raise Refused("no more", {"most": 1})

    listener.connect = connect
    conversation.receive("0/b,")
    assert listener.sent[-1] == '4/b,{"message":"no more","data":{"most":1}}'
    assert "/b" not in conversation.members


def test_attachments_are_counted():
    listener = Listener()
    conversation = Conversation(4, listener, max_attachments=2)
    conversation.receive("0")
    with pytest.raises(PacketError):
        conversation.receive('53-["say"]')


def test_revision_5_of_the_protocol_joins_by_a_packet():
    _, listener = talk(4)
    assert listener.members == []
    conversation, listener = talk(4, '0{"token":"x"}')
    (member,) = listener.members
    assert (member.namespace, member.query, member.auth) == ("/", "", {"token": "x"})
    assert conversation.members == {"/": member}
    assert talk(4, "0")[1].members[0].auth is None


def test_revision_4_of_the_protocol_joins_the_main_namespace_by_itself():
    conversation, listener = talk(3)
    assert [member.namespace for member in listener.members] == ["/"]
    conversation.receive("0")  # old clients repeat it
    assert len(listener.members) == 1


@pytest.mark.parametrize(
    ("revision", "text", "query", "auth"),
    [(3, "0/admin?token=x,", "token=x", None), (3, "0/admin", "", None), (4, '0/admin,{"a":1}', "", {"a": 1})],
)
def test_joining_another_namespace(revision, text, query, auth):
    _, listener = talk(revision, text)
    member = listener.members[-1]
    assert (member.namespace, member.query, member.auth) == ("/admin", query, auth)


@pytest.mark.parametrize(
    ("revision", "namespace", "text"),
    [(4, "/", '0{"sid":"S"}'), (4, "/admin", '0/admin,{"sid":"S"}'), (3, "/", "0"), (3, "/admin", "0/admin,")],
)
def test_accept(revision, namespace, text):
    conversation, listener = talk(revision)
    conversation.accept(namespace, "S")
    assert listener.sent == [text]


@pytest.mark.parametrize(
    ("revision", "namespace", "payload", "text"),
    [
        (4, "/", {"message": "no"}, '4{"message":"no"}'),
        (4, "/admin", {"message": "no", "data": {"k": 1}}, '4/admin,{"message":"no","data":{"k":1}}'),
        (3, "/admin", {"message": "no", "data": {"k": 1}}, '4/admin,{"k":1}'),
        (3, "/admin", {"message": "no"}, '4/admin,"no"'),
    ],
)
def test_refuse(revision, namespace, payload, text):
    conversation, listener = talk(revision, *(["0"] if revision == 4 else []), "0/admin,")
    conversation.refuse(namespace, payload)
    assert listener.sent == [text]
    assert namespace not in conversation.members


@pytest.mark.parametrize(
    ("revision", "content"),
    [(3, "no"), (4, {"message": "no", "data": {"k": 1}})],
)
def test_the_msgpack_parser_for_2x_takes_a_text_alone(revision, content):
    serializer = Msgpack()
    listener = Listener()
    conversation = Conversation(revision, listener, serializer)
    conversation.refuse("/admin", {"message": "no", "data": {"k": 1}})
    (message,) = listener.parcels[0].messages(4)
    assert serializer.parse(message, max_attachments=0)[:2] == (PacketType.CONNECT_ERROR, "/admin")
    assert serializer.parse(message, max_attachments=0).data == content


@pytest.mark.parametrize("revision", [3])
def test_an_unknown_namespace_is_a_text_to_it_too(revision):
    listener = Listener()
    Conversation(revision, listener, Msgpack()).receive(b"\x82\xa4type\x00\xa3nsp\xa5/nope")
    (message,) = listener.parcels[0].messages(4)
    assert Msgpack().parse(message, max_attachments=0).data == "Invalid namespace"


@revisions
def test_an_unknown_namespace_gets_the_same_object_in_both_revisions(revision):
    conversation, listener = talk(revision, "0/nope,")
    assert listener.sent == ['4/nope,{"message":"Invalid namespace"}']
    assert "/nope" not in conversation.members


def test_a_refusal_cannot_carry_bytes():
    conversation, _, _ = joined()
    with pytest.raises(TypeError, match="bytes"):
        conversation.refuse("/", {"message": "no", "data": b"\x00"})


@pytest.mark.parametrize("text", ['2["a"]', '2/admin,["a"]', "30[]", '4"x"'])
def test_talking_before_joining(text):
    with pytest.raises(PacketError, match="not joined"):
        talk(4, text)


@pytest.mark.parametrize(("revision", "text"), [(4, "1"), (4, "1/admin,"), (3, '2/admin,["a"]'), (3, "3/admin,0[]")])
def test_what_crossed_our_own_goodbye_is_dropped(revision, text):
    _, listener = talk(revision, text)
    assert listener.sent == []
    assert [member.heard for member in listener.members if member.heard] == []


@revisions
def test_events(revision):
    conversation, _, member = joined(revision)
    for text in ['2["say","hi",1]', '213["say"]', "2[7,true]"]:
        conversation.receive(text)
    assert member.heard == [
        ("event", "say", ["hi", 1], None, 15),
        ("event", "say", [], 13, 10),
        ("event", "7", [True], None, 9),
    ]


@revisions
def test_events_go_to_their_namespace(revision):
    conversation, listener, main = joined(revision)
    conversation.receive("0/admin,")
    conversation.receive('2/admin,["a"]')
    assert main.heard == []
    assert listener.members[1].heard == [("event", "a", [], None, 13)]


@revisions
def test_acks(revision):
    conversation, _, member = joined(revision)
    conversation.receive('35["ok",1]')
    conversation.receive("3[]")  # without an id: nobody waits for it
    assert member.heard == [("ack", 5, ["ok", 1])]


@revisions
def test_attachments(revision):
    conversation, _, member = joined(revision)
    text = '52-["f",{"_placeholder":true,"num":1},{"x":{"_placeholder":true,"num":0}}]'
    conversation.receive(text)
    conversation.receive(b"zero")
    assert member.heard == []
    conversation.receive(b"one")
    assert member.heard == [("event", "f", [b"one", {"x": b"zero"}], None, len(text) + 7)]
    conversation.receive('61-9[{"_placeholder":true,"num":0}]')
    conversation.receive(b"\x00")
    conversation.receive('50-["none"]')
    assert member.heard[1:] == [("ack", 9, [b"\x00"]), ("event", "none", [], None, 11)]


@pytest.mark.parametrize(
    "messages",
    [
        [b"belongs to nothing"],
        ['51-["a",{"_placeholder":true,"num":0}]', '2["text"]'],
        ['51-["a",{"_placeholder":true,"num":1}]', b"x"],
        ['51-["a"]', b"x"],
        ['511-["a"]'],
        ["0"],
        ["0/admin,", "0/admin,"],
        ['4"no"'],
        ["2{}"],
        ['2["disconnect"]'],
        ["9"],
        [""],
        ["2[1"],
    ],
)
def test_a_broken_rule(messages):
    conversation, _, member = joined(4)
    for message in messages[:-1]:
        conversation.receive(message)
    with pytest.raises(PacketError):
        conversation.receive(messages[-1])
    assert member.heard == []


@revisions
def test_leaving_one_namespace(revision):
    conversation, listener, main = joined(revision)
    conversation.receive("0/admin,")
    conversation.receive("1/admin,")
    assert listener.members[1].heard == [("left",)]
    assert main.heard == []
    assert set(conversation.members) == {"/"}


@revisions
def test_sent_out_of_a_namespace(revision):
    conversation, listener, member = joined(revision)
    conversation.receive("0/admin,")
    conversation.disconnect("/admin")
    conversation.disconnect("/admin")
    conversation.disconnect("/")
    assert listener.sent == ["1/admin,", "1"]
    assert conversation.members == {}
    assert member.heard == []  # who was sent out has not left by itself


def test_a_member_that_is_answered_at_once_is_known_when_it_talks():
    listener = Listener()
    conversation = Conversation(4, listener)
    known = listener.connect

    def connect(namespace, query, auth):
        conversation.accept(namespace, "S")
        return known(namespace, query, auth)

    listener.connect = connect
    conversation.receive("0")
    conversation.receive('2["a"]')
    assert json.loads(listener.sent[0][1:]) == {"sid": "S"}
    assert listener.members[0].heard == [("event", "a", [], None, 6)]
