"""Named reasons: the same word in dead letter, metric, HTTP answer and page.

>>> REASONS["bad-uscc"].zh
'统一社会信用代码校验不通过'
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was refused: code, Chinese text, English text, and whether mending and sending again can help."""

    code: str
    zh: str
    en: str
    mendable: bool = True


REASONS: dict[str, Reason] = {
    reason.code: reason
    for reason in (
        Reason("empty-value", "空记录", "the record has a zero-length value", mendable=False),
        Reason("null-value", "空值记录", "the record has no value (a tombstone) where an event is due", mendable=False),
        Reason("too-large", "超过大小上限", "larger than the event size limit"),
        Reason("broken-avro", "Avro 解码失败", "the Avro body does not decode with its schema"),
        Reason("unknown-schema", "未知的模式编号", "no schema has this id"),
        Reason("unknown-format", "无法识别的格式", "neither the Avro wire format nor JSON"),
        Reason("bad-json", "JSON 不完整或有误", "truncated or malformed JSON"),
        Reason("bad-utf8", "文本不是合法的 UTF-8", "text is not valid UTF-8"),
        Reason("bad-type", "字段类型不符", "a field has the wrong type"),
        Reason("missing-field", "缺少必填字段", "a required field is missing or empty"),
        Reason("unknown-kind", "未知的事件种类", "no such kind of event"),
        Reason("wrong-kind", "事件种类与主题不符", "the event's kind is not that of its topic"),
        Reason("unknown-sector", "未知的领域", "no such key sector"),
        Reason("bad-subject", "监管对象标识有误", "the subject is not scheme:id with a known scheme"),
        Reason("bad-uscc", "统一社会信用代码校验不通过", "the credit code fails GB 32100"),
        Reason("bad-region", "行政区划代码有误", "the region is not a GB/T 2260 code"),
        Reason("not-finite", "数值为 NaN 或无穷", "a number is NaN or infinite"),
        Reason("time-too-old", "时间早于 2000 年", "a time before 2000-01-01"),
        Reason("time-in-future", "时间晚于到达时间", "a time later than arrival plus the allowed clock skew"),
        Reason("bad-time", "时间格式有误", "a time is neither milliseconds nor RFC 3339"),
        Reason("bad-mapping", "无法按映射转换", "a row does not fit its mapping file"),
        Reason("no-subject", "无法确定监管对象", "neither a code nor a name says whom a row is about"),
        Reason("bad-person-id", "证件号码有误", "the id of a natural person is too short, or no id"),
        Reason("duplicate-record", "批内重复记录", "a row of the same batch had the same keys", mendable=False),
        Reason("deleted-at-source", "来源已删除或撤销", "the source deleted or withdrew the record", mendable=False),
        Reason("unpacked-too-large", "解压后超过大小上限", "unpacked, the file is larger than the limit"),
        Reason("bad-cloudevent", "CloudEvents 属性有误", "required CloudEvents attributes are missing or malformed"),
        Reason("bad-crc", "CRC 校验不符", "the checksum of an HJ 212 frame is another than its bytes give"),
        Reason("bad-checksum", "校验和不符", "the checksum of a GB/T 26875.3 frame is another than its bytes give"),
        Reason("bad-length", "长度字段不符", "a frame's length is no number, too much, or not where the frame ends"),
        Reason("bad-tail", "帧尾有误", "a frame does not end with the mark that its protocol asks for"),
        Reason("truncated", "帧不完整", "the stream ended, or fell silent, within a frame"),
        Reason("garbage", "帧间杂散数据", "bytes between frames that begin none", mendable=False),
        Reason(
            "bad-segment",
            "数据段有误",
            "the data segment of an HJ 212 frame lacks CN or CP, or is not encrypted as it should",
        ),
        Reason("no-key", "缺少解密密钥", "the frame is encrypted, and its device has no key"),
        Reason("bad-key", "密钥不符", "decrypted, the frame's length and checksum do not fit: another key, or damaged"),
        Reason("unknown-envelope", "未知的消息类型", "no GA/T 1400 body is named like this"),
        Reason("bad-value", "数值有误", "a measured value is not a number"),
        Reason(
            "unknown-unit", "未支持的信息类型", "a type of information object or analogue value that is not decoded"
        ),
        Reason("no-device", "缺少设备编号", "a message that does not say which device it is from"),
        Reason("unknown-device", "设备未登记", "the device is not in the register"),
        Reason(
            "parking-full", "待登记消息过多", "an unknown device has sent more than is kept for it; it may send again"
        ),
        Reason("bad-credentials", "设备口令有误", "the device's password is missing or wrong"),
        Reason(
            "not-your-device", "非本设备数据", "an event of another subject, sector or device than the sender's own"
        ),
        Reason("unknown-payload", "无法识别的上报内容", "neither a reading, a camera's finding nor an event"),
        Reason("no-time", "保留消息缺少时间", "a retained message that does not say when it was"),
        Reason("bad-source", "来源地址不允许", "the device may not send from this address"),
        Reason("no-session", "设备未注册或保活超时", "the device is not registered, or its keepalive is overdue"),
        Reason("stale-nonce", "认证随机数已失效", "the Digest nonce is too old, not ours, or its count came before"),
        Reason("bad-picture", "图片数据有误", "a picture is no Base64"),
        Reason("unknown-picture", "图片格式不支持", "a picture is neither JPEG nor PNG"),
        Reason("picture-too-large", "图片过大", "a picture is larger than the limit"),
        Reason("too-many-pictures", "图片过多", "an object has more pictures than are kept"),
        Reason("bad-digest", "图片摘要不符", "a picture's bytes have another digest than its device declared"),
        Reason("broker-gone", "消息总线暂不可用", "Kafka or the disk did not take it in time; send again"),
        Reason("slow-sender", "请求体发送超时", "the body did not arrive in time"),
        Reason("bad-gzip", "gzip 数据有误", "the gzip data is broken"),
        Reason("unknown-encoding", "不支持的编码", "an unknown content encoding"),
        Reason(
            "too-many-connections", "连接数已满", "as many connections are open as the gateway takes", mendable=False
        ),
        Reason(
            "too-many-of-source",
            "单一来源连接过多",
            "one address has as many connections as it may have",
            mendable=False,
        ),
        Reason(
            "too-many-errors", "错误过多", "a connection was ended because it sent far too many errors", mendable=False
        ),
        Reason("idle", "长时间无数据", "a connection was ended because nothing came for long", mendable=False),
        Reason("queue-full", "待写入队列已满", "more waits for Kafka than may be held; send again"),
        Reason("too-fast", "发送过快", "more than the source's rate; send again"),
        Reason("processing-failed", "处理时出错", "the engine failed on exactly this record; report it"),
        Reason("bad-command", "指令有误", "the command does not parse or lacks actor, department or id"),
        Reason("unknown-clue", "线索不存在", "no clue has this id"),
        Reason("clue-closed", "线索已办结", "the clue is closed"),
        Reason("already-claimed", "线索已被认领", "another actor holds the clue"),
        Reason("not-claimed", "线索尚未认领", "the clue must be claimed first"),
        Reason("not-owner", "非承办单位或承办人", "only the actor or department that holds the clue may do this"),
        Reason("not-addressed", "线索未派发到该部门", "the clue was not sent to this department"),
        Reason("wrong-state", "当前状态不允许该操作", "the clue's state does not allow this step"),
        Reason("unknown-department", "未知的部门", "no such department"),
    )
}
