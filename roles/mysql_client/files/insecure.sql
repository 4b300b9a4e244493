-- Copyright: dbops.rds_iam contributors
-- SPDX-License-Identifier: GPL-3.0-or-later

-- Prints the statements that make a new server secure; nothing, if there is nothing to do.

SELECT CONCAT('DROP USER ', QUOTE(user), '@', QUOTE(host), ';')
FROM mysql.user
WHERE user = '' OR (user = 'root' AND host NOT IN ('localhost', '127.0.0.1', '::1'));

SELECT CONCAT('DROP DATABASE `', schema_name, '`;')
FROM information_schema.schemata
WHERE schema_name = 'test';

-- These grants are to no account that could be named in REVOKE. In mysql.db the underscore is escaped.
SELECT 'DELETE FROM mysql.db WHERE db IN (\'test\', \'test\\\\_%\'); FLUSH PRIVILEGES;'
FROM mysql.db
WHERE db IN ('test', 'test\\_%')
LIMIT 1;

-- Red Hat's MySQL lets everybody on the host log in as root without a password. Other packages use the socket already.
SELECT 'INSTALL PLUGIN auth_socket SONAME \'auth_socket.so\';'
FROM mysql.user
WHERE user = 'root' AND host = 'localhost' AND authentication_string = '' AND plugin LIKE '%password'
  AND VERSION() NOT LIKE '%MariaDB%'
  AND NOT EXISTS (SELECT 1 FROM information_schema.plugins WHERE plugin_name = 'auth_socket');

SELECT 'ALTER USER \'root\'@\'localhost\' IDENTIFIED WITH auth_socket;'
FROM mysql.user
WHERE user = 'root' AND host = 'localhost' AND authentication_string = '' AND plugin LIKE '%password'
  AND VERSION() NOT LIKE '%MariaDB%';
