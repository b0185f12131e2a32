"""Words of several scripts, for names that put every layer to the test."""

from __future__ import annotations

from typing import NamedTuple


class Tongue(NamedTuple):
    """How things and people are called in one script, and in which currency they are sold."""

    currency: str
    between: str
    qualities: tuple[str, ...]
    things: tuple[str, ...]
    given: tuple[str, ...]
    family: tuple[str, ...]
    text: str


TONGUES: tuple[Tongue, ...] = (
    Tongue("EUR", " ", ("Süße", "Façonné", "Ægte", "Żółty", "Jalapeño", "Großer", "Crème"), ("Kännchen", "Crêpière", "Löffel", "Smörgås", "Ořech", "Câble", "Žaluzie"), ("Zoë", "Jürgen", "Łucja", "Søren", "Åsa", "François"), ("Müller", "Núñez", "Dvořák", "Ångström", "O'Brien", "Şahin"), "Handgefertigt – „für drinnen & draußen“, à la carte."),
    Tongue("EUR", " ", ("Синий", "Тёплый", "Новый", "Большой", "Їжакуватий"), ("чайник", "шарф", "стол", "фонарь", "глечик"), ("Анна", "Фёдор", "Олена", "Ђорђе"), ("Иванова", "Шевченко", "Петровић", "Щёголев"), "Сделано вручную, упаковано с любовью."),
    Tongue("EUR", " ", ("Μικρός", "Ωραίος", "Μπλε", "Ζεστός"), ("καφές", "φακός", "πίνακας", "χάρτης"), ("Ελένη", "Γιώργος", "Άννα"), ("Παπαδόπουλος", "Νικολάου"), "Χειροποίητο, από την Ελλάδα."),
    Tongue("KWD", " ", ("أزرق", "جديد", "كبير", "دافئ"), ("إبريق", "مصباح", "وشاح", "كتاب"), ("ليلى", "عمر", "فاطمة"), ("الهاشمي", "حدّاد", "بن علي"), "صُنع يدويًا بعناية."),
    Tongue("ILS", " ", ("כחול", "חדש", "גדול"), ("קומקום", "פנס", "צעיף"), ("נועה", "דוד", "שירה"), ("כהן", "לוי"), "עבודת יד, באהבה."),
    Tongue("INR", " ", ("नीला", "नया", "बड़ा", "गरम"), ("चायदानी", "दीपक", "दुपट्टा", "किताब"), ("अनन्या", "राहुल", "दीपिका"), ("शर्मा", "पटेल"), "हाथ से बना हुआ।"),
    Tongue("CNY", "", ("蓝色", "新款", "大号", "温暖"), ("茶壶", "台灯", "围巾", "礼盒"), ("小明", "丽华", "伟"), ("王", "李", "欧阳"), "手工制作，附赠精美包装。"),
    Tongue("JPY", "", ("青い", "新しい", "大きな", "あたたかい"), ("急須", "ランプ", "マフラー", "ノート"), ("さくら", "健太", "美咲"), ("佐藤", "渡邉", "髙橋"), "ひとつひとつ手作りです。"),
    Tongue("KRW", " ", ("파란", "새로운", "커다란"), ("찻주전자", "등불", "목도리"), ("지우", "민준"), ("김", "박", "남궁"), "손으로 만들었습니다."),
    Tongue("THB", "", ("สีฟ้า", "ใหม่", "อบอุ่น"), ("กาน้ำชา", "โคมไฟ", "ผ้าพันคอ"), ("มะลิ", "สมชาย"), ("ใจดี", "ศรีสุข"), "ทำด้วยมือ"),
    Tongue("EUR", " ", ("🌟", "Best", "Plain", "=SUM(A1)", "50%", "\"Quoted\""), ("🎁 box", "mug ☕", "t-shirt", "sticker 🏳️‍🌈", "A4, lined"), ("Robin 🦊", "Sam", "Alex"), ("Smith", "von der Leyen", "null"), "Line one\nline two; commas, \"quotes\" and a tab\there."),
)  # fmt: skip
CATEGORIES = (
    "tea",
    "kitchen",
    "light",
    "clothes",
    "paper",
    "gifts",
    "garden",
    "books",
    "Küche",
    "茶具",
    "одежда",
)
