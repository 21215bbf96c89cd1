import assert from 'node:assert/strict'
import { test } from 'node:test'
import { grammarFault } from './grammar-check.ts'

const GOOD = [
  'root ::= "a"',
  'root ::= item{2,5}\nitem ::= [a-z] | "x" item?',
  'root ::= "{" space ( string ":" space value ("," space string ":" space value)* )? space "}"\nspace ::= | " " | "\\n"{1,2} [ \\t]{0,20}\nstring ::= "\\"" char* "\\""\nchar ::= [^"\\\\\\x7F\\x00-\\x1F] | [\\\\] (["\\\\bfnrt] | "u" [0-9a-fA-F]{4})\nvalue ::= string | "null"',
  'root ::= ("a" |\n  "b") "c" # a comment\n',
  'root ::= list\nlist ::= "[" (list ("," list)*)? "]"',
  'root ::= [^\\x00]* [\\x00]',
  'root ::= <[5]> . !<[6]>',
]

const BAD: [grammar: string, fault: RegExp][] = [
  ['root ::= "a"{1,99999}', /repetitions add up to 99999/],
  ['root ::= ("a"{1,100}){1,100}', /repetitions/],
  ['root ::= "a"{5,2}', /minimum of 5 is above its maximum of 2/],
  ['root ::= [3-1]', /no text can satisfy it/],
  ['root ::= "a" | "b" loop\nloop ::= "c" loop', /no text/],
  ['root ::= missing', /"missing" does not exist/],
  ['start ::= "a"', /no rule "root"/],
  ['root ::= root "a" | "b"', /begins with itself/],
  ['root ::= space root "a" | "b"\nspace ::= " "?', /begins with itself/],
  ['root ::= "a', /not closed/],
  ['root ::= ("a"', /missing/],
  ['root "a"', /missing/],
  ['root ::= *', /nothing to repeat/],
]

test('grammars that llama.cpp can use are let through', () => {
  for (const grammar of GOOD) assert.equal(grammarFault(grammar), undefined, grammar)
})

test('grammars that would end the engine process are found', () => {
  for (const [grammar, fault] of BAD) assert.match(grammarFault(grammar) ?? 'no fault', fault, grammar)
})
