#!/usr/bin/env python3
"""Writes jinja_cases.jsonl: small templates, their variables, and what jinja2, set up as transformers does, makes of them.

    make_jinja_cases.py > jinja_cases.jsonl        (needs jinja2 3.1)

A case whose `error` is true is one that jinja2 refuses; the text of the refusal is its own.
"""
import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox

VARIABLES = {
    "none_value": None, "yes": True, "no": False, "int": 7, "neg": -3, "real": 2.5, "whole": 2.0, "tiny": 1e-7, "huge": 1e16, "big": 12345678901234567890123,
    "text": "Hello, wörld", "empty": "", "spaced": "  a b\t c \n", "lines": "one\ntwo\r\nthree\n", "quotes": "it's \"so\"", "odd": "tab\tnl\nnul\x00é\u200b\U0001f600\x7f\xad",
    "list": [3, 1, 2], "words": ["pear", "Apple", "fig", "apple"], "mixed": [1, "1", 1.0, True, None], "nested": [[1, 2], [3, [4, "x"]]], "void": [],
    "dict": {"b": 1, "a": [1, 2], "C": None}, "shadow": {"items": "member", "keys": 1, "get": "got"}, "nothing": {},
    "people": [{"name": "Ada", "age": 36, "tags": ["x"]}, {"name": "bob", "age": 7}, {"name": "Cy", "age": 36, "boss": {"name": "Ada"}}],
}

EXPRESSIONS = """
1 + 2 * 3 - 4 // 3 % 2 ; 7 / 2 ; 8 / 2 ; -7 // 2 ; -7 % 3 ; 7 % -3 ; -7.5 // 2 ; -7.5 % 2 ; 2 ** 10 ; 2 ** -1 ; -2 ** 2 ; 2 ** 3 ** 2 ; 1_000 ; 1.5e3 ; 10 // 4.0
1 + 2 ~ 3 ; 'a' ~ 1 + 2 ; 2 * 3 ~ 4 ; 'a' 'b' "c" ; 'a' * 3 ; 3 * 'ab' ; [1] * 2 ; 'a' * -1 ; true + 1 ; yes and int ; no or 'x' ; not no ; not yes and no ; 1 < 2 < 3 ; 1 < 3 < 2 ; 1 == 1.0 == true
'a' < 'b' ; [1, 2] < [1, 3] ; 'ell' in text ; 'z' not in text ; 1 in list ; 'a' in dict ; 'x' in undefined_thing ; 1 in 'a' ; 1 < 'a' ; none_value < 1 ; [1] == (1,) ; {'a': 1} == {'a': 1.0} ; undefined_thing == other_thing
none_value ; yes ; no ; int ; real ; whole ; tiny ; huge ; big ; 1e22 ; 123456789012345.678 ; 0.1 + 0.2 ; 1e-5 ; 0.0001 ; -0.0 ; list ; mixed ; nested ; dict ; people ; quotes ; odd ; [odd] ; [quotes] ; ["it's"] ; ['"'] ; (1,) ; () ; (1, 'a') ; {'k': (1, 2)} ; dict.keys() ; dict.values() ; dict.items() ; undefined_thing ; [undefined_thing]
text[0] ; text[-1] ; text[8] ; text[99] ; text[1:4] ; text[::-1] ; text[::2] ; text[-3:] ; text[:-3] ; text[5:2] ; list[0] ; list[-1] ; list[5] ; list[1:] ; list[::-1] ; list[::0] ; list['x'] ; list[none_value:2] ; dict['a'] ; dict['zz'] ; dict.a ; dict.zz ; dict.a[1] ; dict['zz'].x ; undefined_thing.x ; undefined_thing['x'] ; none_value.x ; none_value['x'] ; int.real_part ; (1, 2)[0:1] ; list.0 ; nested[1][1][1] ; dict.a.0
shadow['items'] ; shadow.keys() | list ; shadow['keys'] ; shadow.get('get') ; shadow['get'] ; dict.get('a') ; dict.get('q') ; dict.get('q', 5) ; dict.get(1) ; dict.items is defined ; dict.nope is defined ; text.nope is defined ; dict.items() | list ; dict.values() | list
text.upper() ; text.lower() ; 'straße'.upper() ; text.split(',') ; spaced.split() ; 'a b c d'.split(' ', 2) ; 'a b c d'.split(none, 2) ; 'aXbXc'.rsplit('X', 1) ; 'abc'.split('') ; ''.split() ; ''.split(',') ; spaced.strip() ; spaced.lstrip() ; spaced.rstrip() ; 'xxaxx'.strip('x') ; 'abcab'.lstrip('ba') ; 'éaé'.strip('é') ; lines.splitlines() ; lines.splitlines(true) ; 'a\\x0bb'.splitlines() ; '\\u3000x\\u2003'.strip() ; '\\x1cx'.strip()
text.startswith('He') ; text.startswith(('x', 'He')) ; text.endswith('ld') ; text.replace('l', 'L') ; text.replace('l', 'L', 1) ; 'ab'.replace('', '-') ; text.find('ö') ; text.find('zz') ; text.rfind('l') ; text.index('zz') ; text.count('l') ; ','.join(words) ; ','.join([1]) ; 'pre-x'.removeprefix('pre-') ; 'x.py'.removesuffix('.py') ; '12'.isdigit() ; ''.isdigit() ; 'a1'.isalnum() ; 'ab'.isalpha() ; '  '.isspace() ; text.capitalize() ; words.index('fig') ; words.count('fig') ; words.index('no')
text | length ; list | length ; dict | length ; 5 | length ; undefined_thing | length ; none_value | length ; words | select | length ; text | upper ; text | lower ; text | capitalize ; 'the quick-brown (fox)' | title ; spaced | trim ; 'xxaxx' | trim('x') ; 5 | trim ; undefined_thing | trim ; none_value | string ; whole | string ; 5 | string | length
undefined_thing | default('d') ; empty | default('d') ; empty | default('d', true) ; none_value | default('d') ; none_value | d('e', boolean=true) ; undefined_thing | default ; words | join ; words | join(', ') ; list | join('-') ; people | join(',', attribute='name') ; people | map(attribute='age') | join('+') ; 'abc' | join('.') ; none_value | join ; list | first ; list | last ; void | first ; text | first ; dict | list ; text | list ; 'abc' | reverse ; list | reverse | list
list | sort ; words | sort ; words | sort(case_sensitive=true) ; list | sort(reverse=true) ; people | sort(attribute='age') | map(attribute='name') | list ; mixed | sort ; words | unique | list ; words | unique(case_sensitive=true) | list ; mixed | unique | list ; dict | dictsort ; dict | dictsort(true) ; dict | dictsort(reverse=true) ; {'x': 2, 'y': 1} | dictsort(by='value') ; dict | items | list ; undefined_thing | items | list ; list | sum ; people | sum(attribute='age') ; void | sum ; list | min ; list | max ; void | max ; words | max
people | selectattr('age', 'equalto', 36) | map(attribute='name') | list ; people | selectattr('boss') | map(attribute='name') | list ; people | selectattr('boss.name', 'equalto', 'Ada') | list | length ; people | rejectattr('tags', 'defined') | map(attribute='name') | join ; list | select('odd') | list ; list | reject('gt', 1) | list ; words | map('upper') | list ; words | map('replace', 'p', 'q') | list ; people | map(attribute='boss', default='-') | list ; words | select('in', ['fig']) | list ; list | select('nope') | list ; people | map(attribute='boss.name') | list
'5' | int ; ' 12 ' | int ; '5.9' | int ; 'x' | int ; 'x' | int(7) ; none_value | int ; 5.9 | int ; -5.9 | int ; '2.5' | float ; 'x' | float ; 'x' | float(1.5) ; 3 | float ; -3 | abs ; -2.5 | abs ; 2.5 | round ; 3.5 | round ; 2.567 | round(2) ; 2.1 | round(0, 'ceil') ; 2.9 | round(method='floor') ; 3 | round
dict | tojson ; people | tojson ; quotes | tojson ; odd | tojson ; odd | tojson(ensure_ascii=true) ; '<&>' | tojson ; dict | tojson(indent=2) ; void | tojson(indent=2) ; nothing | tojson(indent=2) ; nested | tojson(indent=1) ; dict | tojson(sort_keys=true) ; dict | tojson(separators=(',', ':')) ; dict | tojson(indent='\\t') ; mixed | tojson ; tiny | tojson ; huge | tojson ; whole | tojson ; big | tojson ; (1, 2) | tojson ; undefined_thing | tojson ; dict.keys() | tojson ; none_value | tojson ; words | select | tojson
'<a href="x">\\'&' | escape ; text | replace('l', 'L') ; text | replace('l', 'L', 1) ; 5 | replace('5', 'x') ; 'a\\nb\\n\\nc' | indent ; 'a\\nb' | indent(2, true) ; 'a\\n\\nb' | indent(2, blank=true) ; 'a\\nb\\n' | indent('> ') ; 'two words-here' | wordcount ; text | safe ; text | nope ; text | attr('upper') is defined ; dict | attr('b')
yes is boolean ; 1 is boolean ; int is number ; yes is number ; real is float ; int is integer ; yes is integer ; whole is integer ; text is string ; list is string ; dict is mapping ; list is mapping ; list is iterable ; text is iterable ; dict is iterable ; int is iterable ; undefined_thing is iterable ; list is sequence ; text is sequence ; dict is sequence ; int is sequence ; none_value is sequence ; dict.items() is sequence ; (words | select) is sequence ; none_value is none ; undefined_thing is none ; undefined_thing is undefined ; yes is true ; 1 is true ; no is false ; 0 is false
int is odd ; int is even ; 9 is divisibleby 3 ; 9 is divisibleby(4) ; 1 is eq 1.0 ; 1 is sameas 1 ; 1 is sameas true ; none_value is sameas none ; 2 is ge 2 ; 'a' is in 'abc' ; 'a' is in dict ; 'x' is not in 'abc' ; range is callable ; 'ab' is lower ; 'AB' is upper ; 'aB' is lower ; 'upper' is filter ; 'nope' is filter ; 'odd' is test ; int is nope ; 5 is not none and yes ; text is string and no
range(3) | list ; range(1, 7, 2) | list ; range(3, 0, -1) | list ; range(3, 0) | list ; range(3)[1] ; range(200000) | list ; range() ; dict(a=1, b='x') ; namespace(a=1).a ; namespace(a=1).b is defined ; raise_exception('why: ' ~ int) ; strftime_now('%Y-%m-%d %d %b %B %A %a %y %j %H:%M %p %%') ; strftime_now('%-d.%-m.') ; nope() ; text() ; text.nope() ; list.append(1) ; dict.update({}) ; undefined_thing.foo() ; -undefined_thing ; -'a' ; undefined_thing + 1 ; 1 + undefined_thing ; 'a' + 1 ; 1 + 'a' ; [1] + (2,) ; dict + dict ; 1 / 0 ; 1 // 0 ; 1 % 0
'x' if yes ; 'x' if no ; ('x' if no) is defined ; 'x' if no else 'y' if no else 'z' ; 'a' if int > 5 else 'b' ; int, text ; [] ; {} ; {'a': {'b': {}}} ; {'a': 1, 'a': 2} ; [1, 2,] ; {'a': 1,} ; "a\\"b" ; 'a\\nb\\t\\x41\\u00e9\\101\\q' ; 'tab	in' ; '%s' ; "{{" ; '}}' ; '%}'
text|length > 3 ; -3|abs ; not text|length == 5 ; text is string == true ; (list|length) // 2 ; list|length - 1 ; [1, 2, 3][list|length - 1] ; 'a' ~ 'b' | upper ; ('a' ~ 'b') | upper ; 1 if 'a' in text else 2 ; text[:int - 2] ; text[(1 if yes else 2):] ; people[0].name ; people[-1]['boss']['name'] ; people[0]['na' ~ 'me'] ; words | map('length') | sum ; not not yes ; 'a' not in 'b' and not no ; true and none ; True or False ; None ; none is none
""".strip()

TEMPLATES = [
    "a\n{% if yes %}\n b\n{% endif %}\nc", "a {% if yes %} b {% endif %} c", "  {% if yes %}x{% endif %}\n y", "a\n  {%- if yes -%}  \n b \n {%- endif -%}\n c", "a\n  {%+ if yes +%}\n b\n  {%+ endif %}\n",
    "a\n   {{ int }}\n   {{- int -}}\n  b", "{# c #}\nx", "a {#- c -#} b", "a\n  {# c #}\nb", "a{# {{ x }} {% y %} #}b", "{% raw %}{{ x }} {% if %}{% endraw %}!", "a\n{%- raw -%}\n {{ x }} \n{%- endraw -%}\n b", "x\n", "x\n\n", "x\r\ny\rz\r\n", "\n\nx",
    "{{ 'a\nb' }}", "{{ {'a': {'b': 1}} }}", "{{ '}}' }}{{ \"%}\" }}", "{{-int-}}", "{{- -int -}}", "{%set x=1%}{{x}}", "{{ [1,\n 2] }}", "{ { % {a} %} }}",
    "{% for x in list %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ ',' if not loop.last }}{% endfor %}", "{% for x in list %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.previtem }}{{ loop.nextitem }} {% endfor %}",
    "{% for k, v in dict.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in dict %}{{ k }}{% endfor %}", "{% for c in 'añb' %}[{{ c }}]{% endfor %}", "{% for x in void %}a{% else %}none{% endfor %}", "{% for x in undefined_thing %}a{% else %}u{% endfor %}", "{% for x in int %}a{% endfor %}",
    "{% for x in list if x > 1 %}{{ loop.index }}{{ x }}{% else %}-{% endfor %}", "{% for a, (b, c) in [(1, (2, 3)), [4, [5, 6]]] %}{{ a }}{{ b }}{{ c }} {% endfor %}", "{% for a, b in list %}{% endfor %}", "{% for x in list %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}!", "{% for x in list %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}!",
    "{% for x in list %}{% for y in 'ab' %}{{ loop.depth }}{{ x }}{{ y }}{% endfor %}{{ loop.index }}{% endfor %}", "{% for x in list %}{% set z = x %}{% endfor %}{{ z is defined }}", "{% set z = 0 %}{% for x in list %}{{ z }}{% set z = x %}{{ z }} {% endfor %}{{ z }}", "{% set ns = namespace(z=0) %}{% for x in list %}{% set ns.z = ns.z + x %}{% endfor %}{{ ns.z }}", "{% if yes %}{% set q = 1 %}{% endif %}{{ q }}", "{% set q.x = 1 %}", "{% set d = dict %}{% set d.x = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set a = 1, 2 %}{{ a }}", "{% set x %}block {{ int }}{% endset %}[{{ x }}]", "{% set x | upper | trim %} block {% endset %}[{{ x }}]", "{% filter upper %}a{{ text }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}aXa{% endfilter %}", "{% with a = 1, b = int %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}", "{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}",
    "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, c=3) }}|{{ m(b=1, a=0) }}|{{ m() }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}", "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(3) }}", "{% macro m() %}{{ int }}{{ later }}{% endmacro %}{% set later = 9 %}{{ m() }}", "{% for x in list %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro m() %}{{ x }}{% endmacro %}{% for x in list %}{{ m() }}{% endfor %}.", "{% macro m() %}{% set int = 1 %}{{ int }}{% endmacro %}{{ m() }}{{ int }}", "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}", "{% macro m() -%}  x  {%- endmacro %}[{{ m() }}]{{ m() | length }}", "{% macro m(x) %}{% for y in x %}{{ m(y) if y is not string and y is iterable else y }}{% endfor %}{% endmacro %}{{ m(nested) }}",
    "{% if no %}a{% elif int == 7 %}b{% elif yes %}c{% else %}d{% endif %}", "{% if undefined_thing %}a{% else %}b{% endif %}", "{% if void %}a{% elif nothing %}b{% elif '' %}c{% elif 0.0 %}d{% else %}e{% endif %}", "{% if words | select('equalto', 'nope') %}lazy{% endif %}", "{% if (words | select('equalto', 'nope') | list) %}x{% else %}eager{% endif %}",
    "{% if dict.zz is defined and dict.zz.y %}a{% endif %}b", "{% if undefined_thing.x is defined %}a{% endif %}", "{{ raise_exception('no way') }}", "{% if no %}{{ raise_exception('x') }}{% endif %}fine", "{% if no %}{{ text | nope }}{% endif %}fine", "{% generation %}x{% set gq = 1 %}{% endgeneration %}{{ gq is defined }}",
    "{% set items = dict.items() %}{% for k, v in items %}{{ k }}{% endfor %}{% for k, v in items %}{{ k }}{% endfor %}", "{% set m = words | map('upper') %}{{ m is iterable }}{{ m | list }}", "{{ people | tojson(indent=4) }}", "{% for p in people %}{{ p.name }}{% if p.boss %}<{{ p.boss.name }}{% endif %}\n{% endfor %}", "{{ loop is defined }}{% for x in list %}{{ loop is defined }}{% endfor %}",
    "{% endif %}", "{% if yes %}", "{{ 1 +  }}", "{{ (1 }}", "{{ 1", "{% nope %}", "{% for %}{% endfor %}", "{% set %}", "{{ 'a }}", "{{ a b }}", "{% if yes %}{% endfor %}", "{% break %}", "{{ x | }}", "{# never closed", "{{ 1 $ 2 }}", "{% macro %}{% endmacro %}", "{{ {1, 2} }}", "{{ x[ }}", "{{ }}", "{% for x in list %}{% else %}{% else %}{% endfor %}",
]


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_keep"), [], [], body).set_lineno(line)

    def _keep(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception
environment.globals["strftime_now"] = lambda form: datetime.datetime(2026, 3, 1).strftime(form)

print(json.dumps({"variables": VARIABLES}))
sources = ["{{ " + e.strip().replace("\\\\", "\\") + " }}" for line in EXPRESSIONS.split("\n") for e in line.split(" ; ")] + TEMPLATES
for source in sources:
    case = {"template": source}
    try:
        case["rendered"] = environment.from_string(source).render(**VARIABLES)
    except Exception:
        case["error"] = True
    print(json.dumps(case))
