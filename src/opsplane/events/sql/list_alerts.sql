-- Alerts, the latest first, each with its last message and what became of it.
select alert.topic, alert.firing, alert.raised_at, alert.told_at, message.kind as last_message, message.sent_at,
       message.tries, message.error
from alert left join lateral (
    select * from alert_message where alert_message.topic = alert.topic order by id desc limit 1
) as message on true
order by alert.firing desc, alert.told_at desc
