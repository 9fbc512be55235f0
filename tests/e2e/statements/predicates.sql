price / 2 > 1.2
id / 2 = 1
id // 2 = 1
id % 2 = 1
id ** 2 = 4
id ^ 2 = 4
-id < -2
price::INTEGER = 2
CAST(price AS VARCHAR) LIKE '2%'
TRY_CAST(name AS INTEGER) IS NULL
name LIKE '%e%'
name ILIKE 'E%'
name NOT LIKE '%e%'
name LIKE 'fig!%' ESCAPE '!'
name GLOB 'f*'
name SIMILAR TO '[a-f].*'
name ~ 'b.*'
regexp_matches(name, 'a')
name = 'g''rape'
name IN ('apple', 'ham')
name NOT IN ('apple', NULL)
id IN (1, 2, NULL)
id BETWEEN 1 AND 3
id NOT BETWEEN 1 AND 3
name IS NOT DISTINCT FROM NULL
name IS DISTINCT FROM 'ham'
"Is Healthy" IS NOT TRUE
NOT "Is Healthy"
"Is Healthy"
made = '2024-02-01'
made < DATE '2024-06-01' + INTERVAL 1 MONTH
made + INTERVAL '1' DAY > '2024-06-01'
year(made) = 2024 AND month(made) > 6
date_part('month', made) = 3
date_trunc('quarter', made) = '2024-01-01'
strftime(made, '%Y-%m') = '2024-03'
extract(dow FROM made) = 1
made - DATE '2024-01-01' > 100
datediff('day', made, DATE '2024-12-31') > 100
tags[1] = 7
tags[-1] = 1
tags[1:1] = [1]
len(tags) = 2
list_contains(tags, 7)
7 IN tags
array_length(tags) > 1
tags && [1]
tags @> [1]
meta.a > 6
meta['b'] = 'x'
struct_extract(meta, 'a') = 3
coalesce(price, 0) = 0
nullif(price, 2.5) IS NULL
ifnull(price, 1) = 1
CASE WHEN price > 3 THEN id ELSE -id END > 4
if(price > 3, true, false)
greatest(price, id) > 7
round(price) = 2
round(price, 1) = 2.5
abs(price) > 4
length(name) = 3
upper(name) = 'EGG'
name || 'x' = 'hamx'
concat(name, NULL) = 'ham'
substring(name, 2, 2) = 'am'
name[1] = 'h'
name[1:2] = 'ha'
left(name, 1) = 'a'
trim(name) = 'ham'
starts_with(name, 'a')
contains(name, 'a')
position('a' IN name) = 2
name ^@ 'a'
split_part(name, 'a', 1) = 'h'
price > 1e0 AND price < .8e1
price = 2.50
price > 2 AND (id < 5 OR name = 'ham')
NOT (price > 2 AND id < 5)
(price > 2) = true
price > 2 IS TRUE
id & 1 = 1
id | 1 = 3
xor(id, 1) = 0
id << 1 = 4
~id = -2
price IS NULL
price ISNULL
price NOTNULL
md5(name) < '8'
hash(name) % 2 = 0
typeof(price) = 'DECIMAL(3,1)'
isnan(price::DOUBLE)
price::FLOAT = 2.5::FLOAT
price > '2'
id = '1'
bar(price, 0, 10, 10) IS NOT NULL
list_filter(tags, lambda x: x > 5) = [7]
[price, id] = [2.5, 1]
row(price, id) = row(2.5, 1)
{'a': id}.a = 2
map {'a': id}['a'] = 2
id = 1 + 1
id IN (SELECT id FROM other)
price > getvariable('nope')
format('{}', id) = '1'
printf('%d', id) = '1'
made::TIMESTAMP > TIMESTAMP '2024-06-01 00:00:00'
made::TIMESTAMPTZ > TIMESTAMPTZ '2024-06-01 00:00:00+00'
epoch(made) > 1709251200
to_days(id) > INTERVAL 3 DAYS
INTERVAL (id) DAY > INTERVAL 3 DAYS
age(made, DATE '2024-01-01') > INTERVAL 3 MONTHS
name COLLATE NOCASE = 'egg'
name > 'c' COLLATE NOCASE
unicode(name) > 100
ascii(name) > 100
chr(id + 64) = 'A'
json_extract('{"a":1}', '$.a') = id
'{"a":1}'::JSON->>'a' = id::VARCHAR
try(CAST(name AS INTEGER)) IS NULL
id::BIT::VARCHAR LIKE '%1'
price::DECIMAL(4,2) = 2.50
id::HUGEINT = 3
'a' < name
lower(name) = lower('HAM')
id != 3
id <> 3
id == 3
price > 2 AND random() >= 0
price > 2 AND f6[1] IS NOT NULL
isfinite(price::DOUBLE)
sqrt(abs(price)) > 2
ln(abs(price) + 1) > 2
log(abs(price) + 1) > 0.9
log2(abs(price) + 1) > 2
price::VARCHAR = '2.5'
monthname(made) = 'March'
last_day(made) = '2024-02-29'
trunc(price) = 2
mod(id, 2) = 1
divide(id, 2) = 1
list_position(tags, 1) = 2
array_has_any(tags, [7, 9])
repeat(name, 2) = 'hamham'
replace(name, 'a', 'b') = 'hbm'
regexp_replace(name, '[ae]', 'x') = 'hxm'
regexp_extract(name, '(h)(a)', 2) = 'a'
string_split(name, 'a')[1] = 'h'
damerau_levenshtein(name, 'hat') = 1
reverse(name) = 'mah'
lpad(name, 5, '*') = '**ham'
to_base(id + 1, 2) = '10'
bit_count(id) = 2
